"""The pieces of road that a model knows, as tables: outlines, markings, routes, objects, and which may follow on which.

Pieces are cut from maps where their road is plain (`training.rssm.roads`), so that any piece fits any other with the
same lanes. Each is told in the frame of its entry: x along the route, y to its left. They are vocabulary, as tokens of
motion are (SMART, arXiv 2405.15677): drawn by the model, but exact in themselves, so that lines stay crisp.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from learned_sim_env.files import replacing
from learned_sim_env.world_model.geometry import place
from learned_sim_env.world_model.rssm.route.landmarks import FAR, OBSTACLES

# [m] Apart along a piece's route are the places that its table has; and the sections by which it is recognised.
ROUTE_STEP, SECTION_STEP = 2.0, 4.0
# Sections before its entry that are kept of a piece, from the map that it was cut from.
LEAD = 9
# Numbers that tell a section: for each of so many bins of so many metres across the route, how much of it is off the
# road, on a broken line, on a solid one; and how the route turns there.
BINS, BIN, SHOWN = 23, 1.5, 3
# [m] Outlines and markings are whole numbers of this.
UNIT = 0.01
# Pieces that may follow on one, all as likely.
SUCCESSORS = 64


class Sizes(NamedTuple):
    """Lengths of the tables: pieces, places of routes, sections, outlines of surfaces and their points, markings."""

    pieces: int
    places: int
    sections: int
    outlines: int
    points: int
    markings: int


class RoadLibrary(nn.Module):
    """Tables of all pieces. `*_of` (pieces + 1,) says where a piece's part of a table begins.

    Attributes:
        width: (V, 2) [m] of a lane at entry and exit. exit_pose: (V, 3). length: (V,) [m] of the route.
        last: (V,) bool, whether the route ends with it.
        successors: (V, SUCCESSORS) int32, the likeliest first.
        places: (N, 2) [m], every `ROUTE_STEP` along the routes, the last of a piece at its exit; chords: (N,) [rad],
            headings from each to the next, and at the exit, and ways: (N, 2), the same as unit vectors.
        sections: (N, BINS * SHOWN) uint8 shares of 255, see `grounding`; turns: (N,) [rad] at them.
        points: (N, 2) int32 `UNIT`, of outlines that begin at `outlines`; on_route: of these, bool.
        markings: (N, 4) int32 `UNIT`, both ends; solid: (N,) bool.
        objects: (V, OBSTACLES, 3) [m], places of what stands in the way, see `route.landmarks`, and how far along the
            route each is; `FAR` where there is none.
    """

    width: Tensor
    exit_pose: Tensor
    length: Tensor
    last: Tensor
    successors: Tensor
    places: Tensor
    chords: Tensor
    ways: Tensor
    places_of: Tensor
    sections: Tensor
    turns: Tensor
    sections_of: Tensor
    points: Tensor
    outlines: Tensor
    outlines_of: Tensor
    on_route: Tensor
    markings: Tensor
    markings_of: Tensor
    solid: Tensor
    objects: Tensor

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        v, n = sizes.pieces, torch.zeros
        # Of kinds that processes which train together can exchange (gloo): int16 is none.
        tables = {
            "width": n(v, 2),
            "exit_pose": n(v, 3),
            "length": n(v),
            "last": n(v, dtype=torch.bool),
            "successors": n(v, SUCCESSORS, dtype=torch.int32),
            "places": n(sizes.places, 2),
            "chords": n(sizes.places),
            "ways": n(sizes.places, 2),
            "places_of": n(v + 1, dtype=torch.int32),
            "sections": n(sizes.sections, BINS * SHOWN, dtype=torch.uint8),
            "turns": n(sizes.sections),
            "sections_of": n(v + 1, dtype=torch.int32),
            "points": n(sizes.points, 2, dtype=torch.int32),
            "outlines": n(sizes.outlines + 1, dtype=torch.int32),
            "outlines_of": n(v + 1, dtype=torch.int32),
            "on_route": n(sizes.outlines, dtype=torch.bool),
            "markings": n(sizes.markings, 4, dtype=torch.int32),
            "markings_of": n(v + 1, dtype=torch.int32),
            "solid": n(sizes.markings, dtype=torch.bool),
            "objects": n(v, OBSTACLES, 3) + FAR,
        }
        for name, table in tables.items():
            self.register_buffer(name, table)

    def save(self, path: Path) -> None:
        """Write the tables to a file (.safetensors)."""
        with replacing(path) as temporary:
            save_file(self.state_dict(), temporary)

    @staticmethod
    def load(path: Path) -> RoadLibrary:
        """The library that `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if something else is in it.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no library of pieces of road {path}: `learned-sim build` makes one")
        tables = load_file(path)
        lengths = {"pieces": "length", "outlines": "on_route", "markings": "solid"}
        sizes = {name: len(tables.get(lengths.get(name, name), ())) for name in Sizes._fields}
        library = RoadLibrary(Sizes(**sizes))
        wrong = set(tables) ^ set(library.state_dict())
        if wrong:
            raise ValueError(f"{path} is no library of pieces of road: other tables are {', '.join(sorted(wrong))}")
        library.load_state_dict(tables)
        return library

    def on_the_route(self, piece: Tensor, arc: Tensor) -> tuple[Tensor, Tensor]:
        """Places, complex (...) [m], and headings (...) [rad] at `arc` (...) [m] along the routes of `piece` (...)
        int64, in the frame of the entry; beyond the exit the route goes straight on.
        """
        start, end, length = self.places_of[piece].long(), self.places_of[piece + 1].long(), self.length[piece]
        # All that lies beyond the exit belongs to the place there. With angles from a table, the result is the same to
        # the bit wherever in a batch it stands.
        over, inside = arc >= length, arc.clamp_min(0)
        index = torch.minimum(start + (inside / ROUTE_STEP).floor().long(), end - 2)
        along = inside - torch.where(over, length, (index - start) * ROUTE_STEP)
        index = torch.where(over, end - 1, index)
        return place(self.places[index] + along[..., None] * self.ways[index]), self.chords[index]


def direction(way: Tensor) -> Tensor:
    """The headings (...) [rad] of complex numbers, each the same to the bit wherever in a batch it stands."""
    return torch.atan2(way.imag.double(), way.real.double()).float()
