"""What lies across a route, place by place: surfaces and markings of a map, swept along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.scene import Line, RoadMap, wrap_angle
from learned_sim_env.world_model.rssm.roads.library import BIN, BINS, SHOWN

# [m] A pixel of the raster on which a map is drawn, and how far around what is drawn it reaches.
FINE, AROUND = 0.25, 10.0
# [pixels] Of markings, so that no cross-section misses them.
THICK = 3
# [m] Steps along a route; how far to both sides it is looked.
STEP, ASIDE = 2.0, 30.0
# [m] Widths that lanes may have.
NARROWEST, WIDEST = 2.8, 4.4
# [m] Edges and markings that differ by less are the same.
SAME = 0.35
# Share of a lane's width by which a roadway may be wider or narrower than its lanes.
UNEVEN = 0.3
# Codes on the raster.
OFF, ROAD, ROUTE, BROKEN, SOLID = range(5)


@dataclass(frozen=True)
class Port:
    """A plain cross-section of a road: `own` lanes along the route, whose middle it is, and `opposite` ones to their
    left; width: of a lane [m].
    """

    own: int
    opposite: int
    width: float


class Sections:
    """A map's cross-sections along its route.

    places: (N, 2) [m] every `STEP` along the route, the last one at its end; headings: (N,) [rad], unwrapped.
    surfaces, markings: (N, 2 * ASIDE / FINE + 1) uint8 codes across it, the left first; broken markings without gaps, 0
    where there is none.
    """

    def __init__(self, road_map: RoadMap):
        self.places, self.headings = resampled(road_map.route, STEP)
        low = self.places.min(0) - ASIDE - AROUND
        images = _drawn(road_map, low, self.places.max(0) + ASIDE + AROUND)
        across = np.arange(ASIDE, -ASIDE - FINE / 2, -FINE)
        normal = np.stack([-np.sin(self.headings), np.cos(self.headings)], -1)
        points = self.places[:, None] + across[None, :, None] * normal[:, None]
        column, row = np.rint((points - low) / FINE).astype(int).transpose(2, 0, 1)
        self.surfaces, self.markings = (image[row, column] for image in images)
        self.across = across

    def __len__(self) -> int:
        return len(self.places)

    def port(self, i: int) -> Port | None:
        """The plain road at place i, if it is one there and as far as `2 * STEP` before and behind."""
        if not 2 <= i < len(self) - 2:
            return None
        found = [self._edges(k) for k in (i - 2, i, i + 2)]
        if any(len(f) != len(found[1]) or not len(f) for f in found):
            return None
        stacked = np.stack(found)
        if np.ptp(stacked, axis=0)[:, 0].max() > SAME or np.ptp(stacked, axis=0)[:, 1].max() > 0:
            return None
        return self._read(found[1])

    def shares(self, places: np.ndarray) -> np.ndarray:
        """(N, BINS * SHOWN) uint8: what sections at `places` (N,) int64 show, as `RoadLibrary` has it."""
        kinds = [(self.surfaces == OFF) & (self.markings == 0), self.markings == BROKEN, self.markings == SOLID]
        middles = ((BINS - 1) / 2 - np.arange(BINS)) * BIN
        inside = (np.arange(round(BIN / FINE)) + 0.5) * FINE - BIN / 2
        columns = np.rint((ASIDE - middles[:, None] - inside) / FINE).astype(int)
        shown = np.stack([kind[:, columns].mean(-1) for kind in kinds], -1)
        # A view shows broken lines as dashes.
        shown[..., 1] *= Line.dash / Line.period
        around = np.clip(places[:, None] + [-1, 0, 1], 0, len(self) - 1)
        mean = (shown[around] * np.array([0.25, 0.5, 0.25])[:, None, None]).sum(1)
        return np.rint(mean * 255).astype(np.uint8).reshape(len(places), BINS * SHOWN)

    def turns(self, places: np.ndarray, step: int) -> np.ndarray:
        """(N,) float32 [rad] by which the route turns at `places` (N,) int64, from chord to chord of `step` places."""
        before, after = (np.clip(places + k, 0, len(self) - 1) for k in (-step, step))
        chords = [self.places[b] - self.places[a] for a, b in ((before, places), (places, after))]
        first, second = (np.arctan2(c[:, 1], c[:, 0]) for c in chords)
        short = (before == places) | (after == places)
        return np.where(short, 0.0, wrap_angle(second - first)).astype(np.float32)

    def _edges(self, i: int) -> np.ndarray:
        """(K, 2): edges of the road with the route, the left first, and markings on it: place across [m], kind."""
        middle, on = len(self.across) // 2, self.surfaces[i] != OFF
        if not on[middle]:
            return np.zeros((0, 2))
        off = np.flatnonzero(~on)
        left, right = off[off < middle], off[off > middle]
        if not len(left) or not len(right):
            return np.zeros((0, 2))
        first, last = left[-1] + 1, right[0] - 1
        edges = [(self.across[first] + FINE / 2, OFF)]
        for kind in (SOLID, BROKEN):
            where = np.flatnonzero(self.markings[i, first : last + 1] == kind) + first
            for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(where) else []:
                edges.append((self.across[run].mean(), kind))
        edges.append((self.across[last] - FINE / 2, OFF))
        return np.array(sorted(edges, key=lambda e: (-e[0], e[1])))

    @staticmethod
    def _read(edges: np.ndarray) -> Port | None:
        left, right = edges[0, 0], edges[-1, 0]
        inner = [place for place, kind in edges if kind == BROKEN and right + 1.0 < place < -right - 1.0]
        own = len(inner) + 1
        width = -2 * right / own
        opposite = max(0, round((left + right) / width))
        if not NARROWEST < width < WIDEST or abs(left + right - opposite * width) > UNEVEN * width:
            return None
        even = right + width * np.arange(1, own)
        if len(inner) and np.abs(np.sort(inner) - even).max() > SAME:
            return None
        # The directions are parted by a line.
        if opposite and not any(abs(place + right) < SAME for place, kind in edges if kind != OFF):
            return None
        return Port(own, opposite, float(width))


def resampled(route: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Places (N, 2) [m] every `step` along a line (M, 2) and headings (N,) [rad], smoothed over three steps."""
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(route, axis=0).T))])
    at = np.append(np.arange(0.0, s[-1] - step / 2, step), s[-1])
    places = np.stack([np.interp(at, s, route[:, k]) for k in (0, 1)], -1)
    ahead = np.stack([np.interp(np.minimum(at + step, s[-1]), s, route[:, k]) for k in (0, 1)], -1)
    behind = np.stack([np.interp(np.maximum(at - step, 0), s, route[:, k]) for k in (0, 1)], -1)
    x, y = (ahead - behind).T
    return places, np.unwrap(np.arctan2(y, x))


def _drawn(road_map: RoadMap, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The map's surfaces and markings as codes (H, W) uint8, `FINE` metres a pixel, y by x."""
    import cv2

    surfaces = np.zeros(np.ceil((high - low) / FINE).astype(int)[::-1] + 1, np.uint8)
    markings = np.zeros_like(surfaces)

    def pixels(points: np.ndarray) -> np.ndarray:
        return np.rint((points - low) / FINE * 64).astype(np.int32)

    for lane in sorted(road_map.lanes, key=lambda lane: lane.on_route):
        cv2.fillPoly(surfaces, [pixels(lane.polygon)], ROUTE if lane.on_route else ROAD, cv2.LINE_8, 6)
    for broken, code in ((True, BROKEN), (False, SOLID)):
        lines = [pixels(line.points) for line in road_map.lines if line.broken == broken]
        cv2.polylines(markings, lines, False, code, THICK, cv2.LINE_8, 6)
    return surfaces, markings
