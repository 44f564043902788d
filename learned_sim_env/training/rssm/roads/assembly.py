"""Pieces of road as the tables of a model's library, and a model with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from learned_sim_env.data.splits import COLLECTED_SPLITS, split_of
from learned_sim_env.scene import RoadMap
from learned_sim_env.simulators.metadrive_maps import scenario_maps
from learned_sim_env.training.rssm.roads.cutting import Piece, cut
from learned_sim_env.training.rssm.roads.succession import successors, trained
from learned_sim_env.world_model.protocol import device_of
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.rssm.roads.library import UNIT, RoadLibrary, Sizes
from learned_sim_env.world_model.rssm.route.landmarks import FAR, OBSTACLES

# [m] A piece is at most so long; log-ratio of the widths of lanes where two meet; pieces that must be able to follow.
LONGEST, ALIKE, CHOICE = 320.0, 0.08, 4


@dataclass(frozen=True)
class RoadsConfig:
    """Of what a library of pieces of road is made."""

    scenarios: int = 280
    """Training scenarios of MetaDrive whose maps are cut, from the first seed on."""
    pieces: int = 640
    """Pieces that are kept at most."""
    steps: int = 400
    """Of training which piece follows on which."""
    seed: int = 0


def make_library(config: RoadsConfig, path: Path) -> dict[str, float]:
    """Write the library of pieces of the maps of training scenarios; what `road_library` said of it.

    Raises:
        ImportError: if MetaDrive is not installed.
        ValueError: if too few pieces are found.
    """
    training = (seed for seed in COLLECTED_SPLITS["train"] if split_of(seed) == "train")
    maps = scenario_maps(islice(training, config.scenarios))
    library, said = road_library(maps, config.pieces, config.steps, config.seed)
    library.save(path)
    return said


def road_library(
    maps: Iterable[tuple[int, RoadMap, np.ndarray]], most: int = 512, steps: int = 400, seed: int = 0
) -> tuple[RoadLibrary, dict[str, float]]:
    """The library of the pieces of `maps`, and what was said of it.

    Args:
        maps: of training scenarios, each with its seed before and behind it what stands there, see `cut`.
        most: pieces that are kept, by chance.
        steps: that are trained which piece follows on which. seed: of all chance.

    Raises:
        ValueError: if no piece goes on in others.
    """
    pieces: list[Piece] = []
    for number, (source, road_map, objects) in enumerate(maps):
        pieces += cut(road_map, source, np.random.default_rng([seed, number]), objects)
    pieces = [piece for piece in pieces if piece.length <= LONGEST]
    if not _going_on(pieces):
        raise ValueError(f"{len(pieces)} pieces of road do not go on from each other: cut the maps of more scenarios")
    net, said = trained(pieces, compatible(pieces), steps, seed)
    chosen = np.random.default_rng(seed).permutation(len(pieces))[:most]
    kept = _going_on([pieces[i] for i in np.sort(chosen)])
    library = assembled(kept, successors(net, kept, compatible(kept)))
    with_objects = sum(len(piece.objects) > 0 for piece in kept)
    return library, {**said, "cut": len(pieces), "kept": len(kept), "with_objects": with_objects}


def with_roads(model: DrivingRSSM, library: RoadLibrary | None) -> DrivingRSSM:
    """A copy of a model that imagines road in pieces of a library; None: in no pieces."""
    sizes = () if library is None else tuple(library.sizes)
    new = DrivingRSSM(replace(model.config, roads=sizes), model.contract)
    learned = {name: value for name, value in model.state_dict().items() if not name.startswith("roads.")}
    tables = {} if library is None else {f"roads.{name}": table for name, table in library.state_dict().items()}
    new.load_state_dict({**learned, **tables})
    return new.to(device_of(model)).train(model.training)


def _going_on(pieces: list[Piece]) -> list[Piece]:
    """Those on which others can follow, again and again, and those where a route ends."""
    while True:
        going = compatible(pieces).sum(1) >= CHOICE
        kept = [piece for piece, on in zip(pieces, going) if on or piece.exit is None]
        if len(kept) == len(pieces):
            return pieces
        pieces = kept


def assembled(pieces: Sequence[Piece], successors: np.ndarray) -> RoadLibrary:
    """The library of `pieces`; successors: (V, SUCCESSORS), see `RoadLibrary`."""
    outlines = [outline for piece in pieces for outline, _ in piece.surfaces]
    counts = {
        "places": [len(p.route) for p in pieces],
        "sections": [len(p.sections) for p in pieces],
        "outlines": [len(p.surfaces) for p in pieces],
        "markings": [len(p.markings) for p in pieces],
    }
    sizes = Sizes(len(pieces), points=sum(map(len, outlines)), **{name: sum(n) for name, n in counts.items()})
    library = RoadLibrary(sizes)
    width = [(p.entry.width, p.exit.width if p.exit else p.entry.width) for p in pieces]
    chords = np.concatenate([_chords(p) for p in pieces])
    tables = {
        "width": np.array(width),
        "exit_pose": np.array([p.exit_pose for p in pieces]),
        "length": np.array([p.length for p in pieces]),
        "last": np.array([p.exit is None for p in pieces]),
        "successors": successors,
        "objects": np.stack([_standing(p) for p in pieces]),
        "places": np.concatenate([p.route for p in pieces]),
        "chords": chords,
        "ways": np.stack([np.cos(chords), np.sin(chords)], -1),
        "sections": np.concatenate([p.sections for p in pieces]),
        "turns": np.concatenate([p.turns for p in pieces]),
        "points": np.rint(np.concatenate(outlines) / UNIT),
        "outlines": np.cumsum([0, *map(len, outlines)]),
        "on_route": np.array([on_route for p in pieces for _, on_route in p.surfaces]),
        "markings": np.rint(np.concatenate([p.markings.reshape(-1, 4) for p in pieces]) / UNIT),
        "solid": np.concatenate([p.solid for p in pieces]),
        **{f"{name}_of": np.cumsum([0, *n]) for name, n in counts.items()},
    }
    state = {
        name: torch.from_numpy(np.asarray(table)).to(getattr(library, name).dtype) for name, table in tables.items()
    }
    library.load_state_dict(state)
    return library


def _standing(piece: Piece) -> np.ndarray:
    """(OBSTACLES, 3): what stands on a piece, the first of it if it is more, see `RoadLibrary`."""
    objects = piece.objects[np.argsort(piece.objects[:, 2], kind="stable")][:OBSTACLES]
    return np.pad(objects, ((0, OBSTACLES - len(objects)), (0, 0)), constant_values=FAR)


def _chords(piece: Piece) -> np.ndarray:
    """(N,) [rad]: headings from each place of a piece's route to the next, and at its exit."""
    x, y = np.diff(piece.route, axis=0).T
    return np.append(np.arctan2(y, x), piece.exit_pose[2])


def compatible(pieces: Sequence[Piece]) -> np.ndarray:
    """(V, V) bool: whether a piece (the second) fits behind another: as many lanes, about as wide."""
    entry = np.array([(p.entry.own, p.entry.opposite, p.entry.width) for p in pieces]).reshape(-1, 3)
    ports = [(p.exit.own, p.exit.opposite, p.exit.width) if p.exit else (0, 0, 1) for p in pieces]
    leaving = np.array(ports).reshape(-1, 3)
    same = (entry[None, :, :2] == leaving[:, None, :2]).all(-1)
    return same & (np.abs(np.log(entry[None, :, 2] / leaving[:, None, 2])) < ALIKE)
