"""Routes over a `RoadNetwork`, drawn by a seed, as the contract's road map and as a path to drive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learned_sim_env.optional import require
from learned_sim_env.scene import RoadMap
from learned_sim_env.simulators.carla.roads import Key, RoadNetwork, Segment

# [m] Least and largest length of a route, least length of the lane it begins in, and where on it the ego starts.
LENGTHS, START_LENGTH, START = (150.0, 450.0), 25.0, 10.0
# [m] over which the middle of the roadway is smoothed where its lanes become more or fewer.
SMOOTHING = 12
# How many routes are drawn to find one of a kind.
ATTEMPTS = 200


@dataclass(frozen=True, eq=False)
class Route:
    """road_map: with the route's lanes painted. path: (N, 2) [m], lane by lane, a point a metre, changes of lane eased.

    tags: scenario tags of its lanes. groups: its lanes, those beside one another together.
    """

    road_map: RoadMap
    path: np.ndarray
    tags: frozenset[str]
    groups: tuple[tuple[Segment, ...], ...]


def draw_route(network: RoadNetwork, rng: np.random.Generator, tag: str | None = None) -> Route:
    """A route between places drawn at random; with `tag`, one with a lane that has it.

    It begins where a lane begins and ends where one ends, unless they are longer than a route: then within them.

    Raises:
        ValueError: if the map has no such route.
    """
    starts = [k for k, s in network.segments.items() if s.junction < 0 and s.length >= START_LENGTH]
    for _ in range(ATTEMPTS):
        if not starts:
            break
        start = starts[int(rng.integers(len(starts)))]
        spare = network.segments[start].length - LENGTHS[0]
        begin = float(rng.uniform(0.0, spare)) if spare > 0.0 else 0.0
        keys = _draw_keys(network, start, begin, rng)
        if not keys:
            continue
        tags = {network.segments[k].lane.tag for k in keys} - {""}
        if tag is None or tag in tags or (tag == "straight" and len(tags) < len(keys)):
            return _route(network, keys, begin, frozenset(tags))
    what = "route" if tag is None else f"route with scenario {tag!r}"
    raise ValueError(f"this map has no {what} of {LENGTHS[0]:g} to {LENGTHS[1]:g} m: choose another town or scenario")


def _draw_keys(network: RoadNetwork, start: Key, begin: float, rng: np.random.Generator) -> list[Key]:
    """Lanes from `begin` metres along `start` to one that is far enough; none if there is none."""
    networkx = require("networkx", extra="carla")
    far, paths = networkx.single_source_dijkstra(network.graph, start, cutoff=begin + LENGTHS[1], weight="length")
    roads = [k for k in far if network.segments[k].junction < 0]
    # Those that begin far enough away; on long roads, those that end there.
    ends = [k for k in roads if far[k] - begin >= LENGTHS[0]] or [
        k for k in roads if far[k] + network.segments[k].length - begin >= LENGTHS[0]
    ]
    # Sorted: the order of a search's ends is its own affair.
    return [] if not ends else paths[sorted(ends)[int(rng.integers(len(ends)))]]


def _route(network: RoadNetwork, keys: list[Key], begin: float, tags: frozenset[str]) -> Route:
    groups = _groups(network, keys)
    painted = {s.key for group in groups for s in group}
    lanes = tuple(replace(s.lane, on_route=True) if key in painted else s.lane for key, s in network.segments.items())
    middle = _spaced(np.concatenate([_middle(group) for group in groups]))
    whole = _path(network, keys)
    start, stop = int(begin), int(begin + LENGTHS[1]) + 1
    path = whole[start:stop]
    # The middle of the roadway is cut beside the ends of the path.
    first = _nearest(middle, path[0]) if start else 0
    last = _nearest(middle, path[-1]) + 1 if stop < len(whole) else len(middle)
    return Route(RoadMap(lanes, tuple(network.lines), _smooth(middle[first:last])), path, tags, groups)


def _groups(network: RoadNetwork, keys: list[Key]) -> tuple[tuple[Segment, ...], ...]:
    """The lanes to paint: all of one direction on a road, and on a junction all that lead from road to road."""
    runs: list[list[Key]] = []
    for key in keys:
        segment = network.segments[key]
        if runs and segment.junction < 0 and network.segments[runs[-1][-1]].group == segment.group:
            runs[-1].append(key)
        else:
            runs.append([key])
    roads = [
        [s for s in network.segments.values() if s.group == network.segments[run[0]].group]
        if network.segments[run[0]].junction < 0
        else [network.segments[k] for k in run]
        for run in runs
    ]
    for i in range(1, len(roads) - 1):
        here = roads[i][0]
        if here.junction < 0:
            continue
        before, after = ({s.key for s in roads[j]} for j in (i - 1, i + 1))
        members = [s for s in network.segments.values() if s.junction == here.junction]
        roads[i] = [
            s
            for s in members
            if s.key == here.key
            or (before & set(network.graph.predecessors(s.key)) and after & set(network.successors(s.key)))
        ]
    return tuple(map(tuple, roads))


def _path(network: RoadNetwork, keys: list[Key]) -> np.ndarray:
    """(N, 2): along the lanes' centres, over to the lane beside where the route changes lanes."""
    pieces: list[np.ndarray] = []
    i = 0
    while i < len(keys):
        last = i
        while last + 1 < len(keys) and network.graph.edges[keys[last], keys[last + 1]]["change"]:
            last += 1
        a, b = (_resampled(s.centre, _count(s)) for s in (network.segments[keys[j]] for j in (i, last)))
        t = np.clip((np.linspace(0.0, 1.0, len(a)) - 0.2) / 0.6, 0.0, 1.0)[:, None]
        ease = t * t * (3 - 2 * t)
        pieces.append((1 - ease) * a + ease * (b if len(b) == len(a) else _resampled(b, len(a))))
        i = last + 1
    return _spaced(np.concatenate(pieces))


def _middle(group: tuple[Segment, ...]) -> np.ndarray:
    """(N, 2): between the centres of lanes beside one another."""
    count = max(_count(s) for s in group)
    return np.mean([_resampled(s.centre, count) for s in group], axis=0)


def _count(segment: Segment) -> int:
    """Of the points that a lane is resampled to: enough that long ones keep their shape."""
    return max(64, int(np.ceil(segment.length / 2.0)))


def _resampled(line: np.ndarray, count: int) -> np.ndarray:
    """`count` points (count, 2) at equal distances along a line (M, 2)."""
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0.0, s[-1], count)
    return np.stack([np.interp(at, s, line[:, k]) for k in (0, 1)], -1)


def _spaced(line: np.ndarray) -> np.ndarray:
    """A line (M, 2) with a point every metre."""
    length = float(np.hypot(*np.diff(line, axis=0).T).sum())
    return _resampled(line, max(2, int(np.ceil(length)) + 1))


def _smooth(line: np.ndarray) -> np.ndarray:
    """A line (M, 2) averaged along itself; its ends stay."""
    n = min(SMOOTHING, (len(line) - 1) // 2)
    ends = [line[:1] - (line[n:0:-1] - line[:1]), line, line[-1:] + (line[-1:] - line[-2 : -n - 2 : -1])]
    kernel = np.ones(2 * n + 1) / (2 * n + 1)
    return np.stack([np.convolve(np.concatenate(ends)[:, k], kernel, mode="valid") for k in (0, 1)], -1)


def _nearest(line: np.ndarray, place: np.ndarray) -> int:
    """Index of the point of a line (M, 2) that is nearest to a place (2,)."""
    return int(np.argmin(np.hypot(*(line - place).T)))


def pose_at(path: np.ndarray, s: float) -> tuple[float, float, float]:
    """x, y [m] and heading [rad] at `s` metres along a path (N, 2) with a point a metre."""
    i = int(min(max(s, 0.0), len(path) - 2))
    (x, y), (dx, dy) = path[i], path[i + 1] - path[i]
    return float(x), float(y), float(np.arctan2(dy, dx))


def offset_of(path: np.ndarray, place: Any) -> float:
    """Least distance [m] of a place (2,) from a path (N, 2)."""
    return float(np.hypot(*(path - np.asarray(place)).T).min())
