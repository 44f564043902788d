"""A route to follow: along the lanes that were driven on and those that come after, or along the driven path itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.recording import MapLane
from learned_sim_env.scene import wrap_angle

# [m] between points of routes.
SPACING = 2.0
# A place belongs to a lane whose centre line is at most so far [m] and differs at most so much in direction [rad].
ASIDE, ASKEW = 3.0, 1.0
# What it costs a match to go on into a following lane, into one beside, and anywhere else; a metre aside costs 1.
FOLLOW, CHANGE, JUMP = 0.1, 3.0, 20.0
# [m] by which a route goes on after the end of the drive, and over which changes of lane are eased.
BEYOND, EASING = 80.0, 15
# [rad] Lanes whose ends differ by more in direction lead elsewhere.
PARALLEL = 0.5
# Share of the path that has to be on lanes for the route to follow them.
ENOUGH = 0.6


def choose_route(
    path: np.ndarray, told: np.ndarray | None, lanes: dict[str, MapLane], centres: dict[str, np.ndarray]
) -> tuple[str, np.ndarray, set[str]]:
    """What the route was chosen by, the route (N, 2), and the names of the lanes that belong to it.

    Args:
        path: (P, 2) driven places [m], far enough from one another to have a direction.
        told: (M, 2) that the car was told to follow, or None.
        lanes: by name. centres: (N, 2) their centre lines, by name.
    """
    if told is not None and len(told) > 1:
        kind, line = "recorded", lines.spaced(told, SPACING)
        chosen = [name for name in _match(line, lanes, centres) if name]
    else:
        matched = _match(path, lanes, centres) if len(path) > 1 else []
        if matched and sum(bool(m) for m in matched) > ENOUGH * len(matched):
            kind = "map"
            line, chosen = _along_lanes(path, matched, lanes, centres)
        else:
            kind, line, chosen = "driven", _driven(path), []
    return kind, line, {beside for name in chosen for beside in _row(name, lanes, centres)}


def _match(path: np.ndarray, lanes: dict[str, MapLane], centres: dict[str, np.ndarray]) -> list[str]:
    """Name of the lane of each point of a path (N, 2), "" where there is none: the cheapest sequence (Viterbi)."""
    if not lanes:
        return [""] * len(path)
    angle = lines.headings(path)
    names = list(lanes)
    costs = np.full((len(path), len(names) + 1), np.inf)
    for k, name in enumerate(names):
        centre = centres[name]
        inside = ((path > centre.min(0) - ASIDE) & (path < centre.max(0) + ASIDE)).all(-1)
        if not inside.any():
            continue
        _, aside, direction = lines.nearest(centre, path[inside])
        askew = np.abs(wrap_angle(direction - angle[inside]))
        costs[inside, k] = np.where((aside < ASIDE) & (askew < ASKEW), aside + 2 * askew, np.inf)
    costs[:, -1] = 2 * ASIDE
    index = {name: k for k, name in enumerate(names)}
    best = costs[0]
    back = np.zeros(costs.shape, np.int64)
    own = np.arange(len(names) + 1)
    for i in range(1, len(path)):
        jump = int(best.argmin())
        came, total = np.full(len(own), jump), np.full(len(own), best[jump] + JUMP)
        stay = best < total
        came[stay], total[stay] = own[stay], best[stay]
        for k in np.flatnonzero(np.isfinite(best[:-1])).tolist():
            lane = lanes[names[k]]
            for others, price in ((lane.following, FOLLOW), (lane.beside, CHANGE)):
                for other in others:
                    j = index.get(other)
                    if j is not None and best[k] + price < total[j]:
                        came[j], total[j] = k, best[k] + price
        back[i], best = came, total + costs[i]
    state = int(best.argmin())
    found = []
    for i in range(len(path) - 1, -1, -1):
        found.append("" if state == len(names) else names[state])
        state = int(back[i, state])
    return found[::-1]


def _along_lanes(
    path: np.ndarray, matched: list[str], lanes: dict[str, MapLane], centres: dict[str, np.ndarray]
) -> tuple[np.ndarray, list[str]]:
    """A route along the middles of matched lanes and on through those that follow: (N, 2), and the lanes' names."""
    points = path.copy()
    for name in set(matched) - {""}:
        rows = np.array([m == name for m in matched])
        s, _, _ = lines.nearest(centres[name], path[rows])
        points[rows] = lines.at(centres[name], s)
    chosen = list(dict.fromkeys(m for m in matched if m))
    rest = np.zeros((0, 2))
    if matched[-1]:
        rest, more = _onwards(matched[-1], path[-1], lanes, centres)
        chosen += more
    line = _forwards(np.concatenate([points, rest]))
    line = _eased(lines.spaced(line, 1.0), [points[i] for i in _changes(matched, lanes)])
    # Where the map ends, the route goes straight on: nobody arrives because a recording ends.
    left = BEYOND - (lines.lengths(rest)[-1] if len(rest) > 1 else 0.0)
    return _extended(lines.spaced(line, SPACING), left), chosen


def _changes(matched: list[str], lanes: dict[str, MapLane]) -> list[int]:
    """Where a match goes over into a lane beside."""
    return [i for i, (a, b) in enumerate(pairwise(matched), 1) if a and b and a != b and b not in lanes[a].following]


def _eased(line: np.ndarray, changes: list[np.ndarray]) -> np.ndarray:
    """A line with a point a metre, averaged over some, and over many around changes of lane alone: bends stay bends."""
    little = lines.averaged(line, 3)
    if not changes:
        return little
    away = np.hypot(*np.moveaxis(line[:, None] - np.array(changes), -1, 0)).min(1)
    share = np.clip(2.0 - away / EASING, 0.0, 1.0)[:, None]
    return share * lines.averaged(line, EASING) + (1 - share) * little


def _onwards(
    name: str, place: np.ndarray, lanes: dict[str, MapLane], centres: dict[str, np.ndarray]
) -> tuple[np.ndarray, list[str]]:
    """What follows on the map: points (N, 2) of `BEYOND` metres after a place (2,) on a lane, and the lanes' names."""
    centre = centres[name]
    s = float(lines.nearest(centre, place[None])[0][0])
    total = lines.lengths(centre)[-1]
    pieces, more, left = [lines.at(centre, np.arange(s + SPACING, total, SPACING))], [], BEYOND - (total - s)
    while left > 0:
        ahead = [f for f in lanes[name].following if f in centres and f not in more]
        if not ahead:
            break
        # The straightest: where the drive would have led is not known.
        end = lines.headings(centres[name])[-1]
        name = min(
            ahead, key=lambda f: abs(lines.turn(centres[f])) + abs(wrap_angle(lines.headings(centres[f])[0] - end))
        )
        more.append(name)
        pieces.append(centres[name])
        left -= lines.lengths(centres[name])[-1]
    found = np.concatenate(pieces)
    return (found if len(found) else centre[-1:]), more


def _driven(path: np.ndarray) -> np.ndarray:
    """A route along the driven path itself, and straight on after it."""
    if len(path) < 2 or lines.lengths(path)[-1] < 1.0:
        return path[0] + np.array([[0.0, 0.0], [BEYOND, 0.0]])
    return _extended(lines.spaced(lines.averaged(lines.spaced(path, 1.0), 3), SPACING), BEYOND)


def _forwards(line: np.ndarray) -> np.ndarray:
    """The line without points that are behind the one before, as seen a few metres on."""
    kept = [line[0]]
    for i in range(1, len(line)):
        ahead = line[min(i + 4, len(line) - 1)] - kept[-1]
        if (line[i] - kept[-1]) @ ahead > 1e-3 * max(float(np.hypot(*ahead)), 1e-6):
            kept.append(line[i])
    return np.array(kept) if len(kept) > 1 else line[[0, -1]]


def _extended(line: np.ndarray, by: float) -> np.ndarray:
    """The line, straight on for `by` metres."""
    if by <= 0:
        return line
    towards = line[-1] - line[-min(3, len(line))]
    towards = towards / max(float(np.hypot(*towards)), 1e-9)
    more = np.arange(SPACING, by, SPACING)
    return np.concatenate([line, line[-1] + more[:, None] * towards])


def _row(name: str, lanes: dict[str, MapLane], centres: dict[str, np.ndarray]) -> set[str]:
    """A lane and all beside it that end in its direction: where roads cross, lanes beside it may turn off."""
    found, waiting, end = {name}, [name], lines.headings(centres[name])[-1]
    while waiting:
        for other in lanes[waiting.pop()].beside:
            if other not in centres or other in found:
                continue
            if abs(wrap_angle(lines.headings(centres[other])[-1] - end)) < PARALLEL:
                found.add(other)
                waiting.append(other)
    return found
