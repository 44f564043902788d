"""Cuts the maps of scenarios into pieces of road, where the road is plain: what lies between two cuts is a piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learned_sim_env.road import road_index
from learned_sim_env.scene import Lane, RoadMap, to_frame
from learned_sim_env.training.rssm.roads.sections import STEP, Port, Sections
from learned_sim_env.world_model.rssm.roads.library import LEAD, SECTION_STEP

# [m] A piece is at least this long, and a route's last one at least that; where cuts are tried first varies by so much.
SHORTEST, LAST, VARIED = 40.0, 24.0, 24.0
# [m] A lane's outline is told to so much; its pieces are found in steps of so many points.
EXACT, POINTS = 0.03, 2
# [m] Markings that are shorter are left out.
SHORT = 0.1
# [m] Objects that are longer are told as several, as pixels would show them.
SPOT = 0.75
# Objects, of which there are none.
NOTHING = np.zeros((0, 5))


@dataclass(frozen=True)
class Piece:
    """Road between two cuts of a route, in the frame of the first: x along the route, y to its left [m].

    entry, exit: what the road is at both ends; exit is None where the route ends. exit_pose: (3,) there.
    route: (N, 2), places every `STEP` along it. surfaces: outlines (K, 2) of lanes, and whether they are on the route.
    markings: (S, 2, 2) straight ones, dashes one by one. solid: (S,) bool. objects: (M, 3), where something stands, and
    how far along the route that is. sections, turns: see `RoadLibrary`. source: the scenario's seed. order: which of
    the route's pieces it is. tags: of its lanes.
    """

    entry: Port
    exit: Port | None
    exit_pose: np.ndarray
    route: np.ndarray
    surfaces: list[tuple[np.ndarray, bool]]
    markings: np.ndarray
    solid: np.ndarray
    objects: np.ndarray
    sections: np.ndarray
    turns: np.ndarray
    source: int
    order: int
    tags: frozenset[str]

    @property
    def length(self) -> float:
        """[m] along the route."""
        return float(np.hypot(*np.diff(self.route, axis=0).T).sum())

    def turned(self, start: int | None, stop: int | None) -> float:
        """[rad] by which the route turns from one place to another."""
        x, y = np.diff(self.route[start:stop], axis=0).T
        headings = np.unwrap(np.arctan2(y, x))
        return float(headings[-1] - headings[0])


def cut(road_map: RoadMap, source: int, rng: np.random.Generator, objects: np.ndarray = NOTHING) -> Iterator[Piece]:
    """The pieces of a map along its route, each on the one before; nothing where it has no plain road.

    objects: (N, 5) x, y, heading, length, width of what stands on it.
    """
    sections = Sections(road_map)
    cuts = _cuts(sections, rng)
    if not cuts:
        return
    ends = [*cuts[1:], (len(sections) - 1, None)]
    soup = _Soup(road_map, sections.places, _spots(objects))
    every = round(SECTION_STEP / STEP)
    for order, ((start, entry), (stop, leaving)) in enumerate(zip(cuts, ends)):
        pose = np.append(sections.places[start], sections.headings[start])
        exit_pose = np.append(to_frame(sections.places[stop], pose), sections.headings[stop] - pose[2])
        route = to_frame(sections.places[start : stop + 1], pose)
        looked = np.clip(np.arange(start - LEAD * every, stop + 1, every), 0, len(sections) - 1)
        surfaces, markings, solid, tags = soup.between(start, stop, pose)
        standing, shown = soup.standing(start, stop, pose), (sections.shares(looked), sections.turns(looked, every))
        around = surfaces, markings, solid, standing
        yield Piece(entry, leaving, exit_pose, route, *around, *shown, source=source, order=order, tags=tags)


def _cuts(sections: Sections, rng: np.random.Generator) -> list[tuple[int, Port]]:
    """Where the route is cut: places on it and what the road is there."""
    cuts: list[tuple[int, Port]] = []
    wanted = rng.uniform(0, VARIED) / STEP
    for i in range(len(sections)):
        if i < wanted or (len(sections) - 1 - i) * STEP < LAST:
            continue
        port = sections.port(i)
        # The ring of a roundabout, which is all of one way, is not cut.
        if port is None or not port.opposite:
            continue
        cuts.append((i, port))
        wanted = i + (SHORTEST + rng.uniform(0, VARIED / 2)) / STEP
    return cuts


class _Soup:
    """All surfaces and markings of a map in small parts, and what stands at spots (N, 2), each with the place of its
    route that is nearest to it.
    """

    def __init__(self, road_map: RoadMap, places: np.ndarray, spots: np.ndarray):
        self._places, self.spots = places, spots
        self.stands_at = self._nearest(spots)
        index = road_index(road_map)
        markings = np.concatenate([index.solid, index.broken])
        # The last dash of a line may be hardly there.
        long = np.hypot(*(markings[:, 1] - markings[:, 0]).T) > SHORT
        self.markings, self.solid = markings[long], np.flatnonzero(long) < len(index.solid)
        self.marked_at = self._nearest(self.markings.mean(1))
        self.lanes = [self._parts(lane) for lane in road_map.lanes]

    def between(
        self, start: int, stop: int, pose: np.ndarray
    ) -> tuple[list[tuple[np.ndarray, bool]], np.ndarray, np.ndarray, frozenset[str]]:
        """Surfaces, markings, which of these are solid, and tags of what is nearest to the route from its place `start`
        on, up to `stop`, in the frame of `pose`.
        """
        last = stop == len(self._places) - 1
        surfaces, tags = [], set()
        for lane, left, right, at in self.lanes:
            inside = (at >= start) & ((at < stop) | last)
            for run in np.split(np.arange(len(at)), np.flatnonzero(np.diff(inside.astype(int))) + 1):
                if len(run) and inside[run[0]]:
                    # A little more, so that there is no gap where another piece follows.
                    ends = slice(max(run[0] - 1, 0), run[-1] + 3)
                    outline = _simplified(np.concatenate([left[ends], right[ends][::-1]]))
                    surfaces.append((to_frame(outline, pose), lane.on_route))
                    tags.add(lane.tag)
        more = self.solid
        some = (self.marked_at >= start - more) & ((self.marked_at < stop + more) | last)
        return surfaces, to_frame(self.markings[some], pose), self.solid[some], frozenset(tags) - {""}

    def standing(self, start: int, stop: int, pose: np.ndarray) -> np.ndarray:
        """(M, 3), see `Piece`, of what is nearest to the route there."""
        last = stop == len(self._places) - 1
        some = (self.stands_at >= start) & ((self.stands_at < stop) | last)
        return np.column_stack([to_frame(self.spots[some], pose), (self.stands_at[some] - start) * STEP])

    def _parts(self, lane: Lane) -> tuple[Lane, np.ndarray, np.ndarray, np.ndarray]:
        """A lane's left and right edge (N, 2), and the nearest places (N - 1,) of the parts between successive points.

        An outline goes along one side and back along the other, as simulators give it.
        """
        half = len(lane.polygon) // 2
        left, right = lane.polygon[:half], lane.polygon[half : 2 * half][::-1]
        keep = np.unique(np.append(np.arange(0, half, POINTS), half - 1))
        left, right = left[keep], right[keep]
        return lane, left, right, self._nearest((left[1:] + left[:-1] + right[1:] + right[:-1]) / 4)

    def _nearest(self, points: np.ndarray) -> np.ndarray:
        if not len(points):
            return np.zeros(0, np.int64)
        return ((points[:, None] - self._places[None]) ** 2).sum(-1).argmin(1)


def _spots(objects: np.ndarray) -> np.ndarray:
    """(M, 2): the middles of objects (N, 5), or of so many parts of each that none is longer than `SPOT`."""
    spots = [np.zeros((0, 2))]
    for x, y, heading, length, _ in objects:
        count = max(1, int(np.ceil(length / SPOT)))
        along = ((np.arange(count) + 0.5) / count - 0.5) * length
        spots.append(np.stack([x + along * np.cos(heading), y + along * np.sin(heading)], -1))
    return np.concatenate(spots)


def _simplified(outline: np.ndarray) -> np.ndarray:
    """The same outline (K, 2) without points that lie on the line through their neighbours."""
    import cv2

    found = cv2.approxPolyDP(outline.astype(np.float32)[:, None], EXACT, True)[:, 0]
    return found.astype(np.float64) if len(found) > 2 else outline
