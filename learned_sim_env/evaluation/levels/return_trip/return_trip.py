"""Whether the road is where it was when one comes back: what a world that is only imagined easily gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.evaluation.levels.return_trip.trips import (
    Pairs,
    Trip,
    came_round,
    circle,
    drive,
    looked_twice,
    moved,
    placed_back,
)
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.measures.iou import CLASSES, confusion, iou
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.display import at, number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.geometry import relative

# Classes that are compared, of `iou.CLASSES`.
COMPARED = ("drivable", "road", "route", "lines")
# [m], [rad] A circle is closed when its end is this near its beginning.
CLOSED = (2.0, 0.3)
# [m/s] At which circles are driven.
CIRCLE_SPEED = 4.0
PICTURED = 6


_LIMITS = (
    "It shows that the world agrees with itself, not that it is right: a model that remembers a wrong road, or "
    "nothing but grass, scores 1. Being placed back is no drive: latent and road users stay those of the end, "
    "so that there, after going back and forth, even a model that remembers nothing could draw the same again. "
    "The circle is tight, and stays near its start. What moves is not compared at all."
)


@dataclass(frozen=True)
class ReturnConfig:
    """contexts: rows, each from a context of its own. steps: driven before returning. ago: how many steps back the
    places lie that are returned to. circle: steps of the drive in a circle. replicates, seed: of the bootstrap; the
    seed is that of the noise as well.
    """

    contexts: int = 64
    steps: int = 30
    ago: tuple[int, ...] = (5, 15, 30)
    circle: int = 120
    replicates: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, contexts=1, steps=1, circle=1, replicates=1)
        if not self.ago or not all(1 <= steps <= self.steps for steps in self.ago):
            raise ValueError(f"ago is {self.ago}; it must name moments from 1 to {self.steps} steps back")


def return_trip(checkpoint: Checkpoint, config: ReturnConfig | None = None) -> Part:
    """Drive through imagined road, come back, and compare what is shown with what was shown there before.

    Raises:
        ValueError: if the model has no map memory.
    """
    config = config or ReturnConfig()
    model, contract = checkpoint.model, checkpoint.contract
    bev = contract.bev
    contexts = np.arange(config.contexts) * len(checkpoint.contexts) // config.contexts
    ego = checkpoint.contexts.ego[contexts, -1]
    trip = drive(checkpoint, contexts, RouteFollower.from_ego(ego), config.steps, config.seed)
    # Contexts of a model that is shown cameras have no view from above; any view of the start does to be resampled.
    observed = checkpoint.contexts.observations
    real = torch.from_numpy(observed["bev"][contexts, -1]) if "bev" in observed else trip.views[:, 0]
    weights = _weights(checkpoint, contexts, config)
    ago = sorted(config.ago)
    back = placed_back(model, trip, [*(config.steps - steps for steps in ago), config.steps])
    placed = _placed(weights, trip, dict(zip(ago, back)), real, bev)
    placed[f"{ago[-1]} steps back and forth"] = _by_origin(weights, back[-1], trip.seen[:, -1])
    round_trip = drive(checkpoint, contexts, circle(CIRCLE_SPEED, contract), config.circle, config.seed)
    rows, first, later = came_round(round_trip, CLOSED)
    pose = round_trip.pose
    apart = relative(pose[rows, later], pose[rows, first])
    met = Pairs.of(moved(round_trip.views[rows, first], apart, bev), round_trip.views[rows, later])
    circles: dict[str, Any] = {}
    if len(rows):
        seen = moved(round_trip.seen[rows, first].to(torch.uint8), apart, bev) == 1
        reference = looked_twice(real[rows], pose[rows, first], pose[rows, later], bev)
        circles = {
            **_by_origin(weights[:, rows], met, seen),
            "a true view, resampled": _compare(weights[:, rows], reference),
        }
    distance = (trip.pose[:, 1:, :2] - trip.pose[:, :-1, :2]).norm(dim=-1).numpy()
    shown = {
        f"Above, what was shown {ago[-1]} steps ago; below, on return": _strip(back[len(ago) - 1]),
        "Above, what was shown before turning round; below, when there again": _strip(back[-1]),
    }
    if len(rows):
        shown["Above, where a circle began, moved to where it ended; below, where it ended"] = _strip(met)
    return Part(
        name="return_trip",
        title="Turning round: the road is where it was",
        method=_method(config),
        limits=_LIMITS,
        tables=(
            *(_table(f"Placed back: {name}", found) for name, found in placed.items()),
            _table(f"Driven in a circle ({len(rows)} of {config.contexts} rows came round)", circles),
        ),
        values={
            "rows": config.contexts,
            "mean_distance_m": {f"{s} steps ago": plain(distance[:, -s:].sum(1).mean()) for s in ago},
            "placed_back": plain(placed),
            "circle": {
                "rows_that_came_round": len(rows),
                "median_distance_apart_m": plain(apart[:, :2].norm(dim=-1).median()) if len(rows) else None,
                **plain(circles),
            },
        },
        pictures=shown,
    )


def _method(config: ReturnConfig) -> str:
    return (
        f"From each of {config.contexts} contexts the route is followed for {config.steps} imagined steps, each "
        "drawn. Then the ego is placed where it was some steps ago, ever farther back, and at last where it turned "
        "round; what is drawn is compared with the first view of that moment, pixel by pixel, but for those that a "
        "road user or the ego covers in either. 'seen' are pixels of ground that was really observed before the "
        "start, 'imagined' all others. As no action leads straight back, the same is measured by driving "
        f"{config.circle} steps in the tightest circle at {CIRCLE_SPEED:g} m/s, where one comes back within "
        f"{CLOSED[0]:g} m and {CLOSED[1]:g} rad; there, the earlier view is moved to the later place by its "
        "nearest pixels. In a simulator the road is the same by definition: IoU 1. 'a true view, resampled' is "
        "what is left of a real view (the drawn one of the start, where the contexts hold none from above) that "
        "is moved as far and back by its nearest pixels or, for the circle, seen from both places: less than 1 "
        "only for the pixels. 'the view from the end' is what a model scores that "
        "shows the same whatever the place. In brackets 95% intervals over the scenarios of the contexts, "
        f"{config.replicates} bootstrap replicates."
    )


def _weights(checkpoint: Checkpoint, contexts: np.ndarray, config: ReturnConfig) -> np.ndarray:
    """(1 + R, n): contexts of one scenario go together."""
    scenarios, episode = np.unique(checkpoint.contexts.scenarios[contexts], return_inverse=True)
    return resample(episode, len(scenarios), config.replicates, config.seed)


def _placed(
    weights: np.ndarray, trip: Trip, back: dict[int, Pairs], real: torch.Tensor, bev: BevSpec
) -> dict[str, dict[str, Any]]:
    """How well views agree where the ego is placed so many steps back.

    back: what is compared there, by those steps. real: (B, H, W) uint8, true views.
    """
    placed: dict[str, dict[str, Any]] = {}
    for steps, pairs in back.items():
        moment = trip.pose.shape[1] - 1 - steps
        # Moved to the end of the trip and back.
        there, home = relative(trip.pose[:, -1], trip.pose[:, moment]), torch.zeros(len(real), 3)
        resampled = Pairs.of(real, moved(moved(real, there, bev), relative(home, there), bev))
        placed[f"{steps} steps ago"] = {
            **_by_origin(weights, pairs, trip.seen[:, moment]),
            "a true view, resampled": _compare(weights, resampled),
            "the view from the end": _compare(weights, Pairs.of(trip.views[:, moment], trip.views[:, -1])),
        }
    return placed


def _by_origin(weights: np.ndarray, pairs: Pairs, seen: torch.Tensor) -> dict[str, dict[str, Any]]:
    which = {"all": pairs, "seen": pairs.only(seen), "imagined": pairs.only(~seen)}
    return {name: _compare(weights, some) for name, some in which.items()}


def _compare(weights: np.ndarray, pairs: Pairs) -> dict[str, Any]:
    """IoU by class, "equal", the share of equal pixels, and "pixels", how many are compared in a view."""
    # Pixels that truly are the ego count as nothing.
    first = pairs.first.masked_fill(~pairs.compared, int(SemanticClass.EGO)).numpy()[:, None]
    counts = confusion(pairs.later.numpy()[:, None], first, np.ones((len(first), 1), bool))
    found = Estimate.of(iou(weights, counts)[:, 0])
    equal, total = counts[:, 0].diagonal(axis1=-2, axis2=-1).sum(-1), counts[:, 0].sum((-1, -2))
    return {
        **{name: at(found, list(CLASSES).index(name)) for name in COMPARED},
        "equal": Estimate.of(ratio(weights @ equal, weights @ total)),
        "pixels": float(total.mean()),
    }


def _table(title: str, found: dict[str, dict[str, Any]]) -> Table:
    rows = [
        (name, *(text(measured[c], 3) for c in (*COMPARED, "equal")), number(measured["pixels"], 0))
        for name, measured in found.items()
    ]
    head = ("pixels", *(f"IoU {name}" for name in COMPARED), "equal pixels", "compared in a view")
    return Table(title, head, tuple(rows))


def _strip(pairs: Pairs) -> np.ndarray:
    """Some first views over the later ones, (2 H, n W, 3) uint8."""
    rows = [np.concatenate(list(colourise(views[:PICTURED].numpy())), 1) for views in (pairs.first, pairs.later)]
    return np.concatenate(rows)
