"""Starts that no recording has, or hardly any: rare ones, two in one, with somebody who was not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from learned_sim_env.harness.engine.moments import Moments
from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.spec import CONTRACTS, BevSpec, SemanticClass
from learned_sim_env.world_model.contexts import Contexts

BEV, DT = BevSpec(), CONTRACTS["driving"].dt
# [m] length and width of who is placed.
SIZES = {"vehicle": (4.5, 1.9), "pedestrian": (0.7, 0.7)}
# [m] From the ego to who is placed, at strength 0 and at strength 1.
FAR, NEAR = 34.0, 7.0
_ROAD = (SemanticClass.ROAD, SemanticClass.ROUTE, SemanticClass.BROKEN_LINE, SemanticClass.SOLID_LINE)
_AGENTS = (SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN)


def rarity(bank: Contexts, neighbours: int = 5) -> np.ndarray:
    """(N,) float64 how far from others each start is: the mean distance to its nearest ones.

    Starts are compared by speed, yaw rate, offset and heading error, each in units of its own spread, and by how much
    of the view is road, route, objects and vehicles, ahead and behind.
    """
    ego = bank.ego[:, -1][:, [0, 1, 4, 5]].astype(np.float64)
    view = bank.observations["bev"][:, -1]
    halves = (view[:, : BEV.ego_row], view[:, BEV.ego_row :])
    kinds = (SemanticClass.ROAD, SemanticClass.ROUTE, SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE)
    shares = [np.sqrt((half == kind).mean((1, 2))) for half in halves for kind in kinds]
    x = np.column_stack([ego, *shares])
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    apart = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    np.fill_diagonal(apart, np.inf)
    return np.sort(apart, axis=1)[:, : min(neighbours, len(x) - 1)].mean(1)


@dataclass(frozen=True)
class Tails(Perturbation):
    """Begins where hardly any drive does: at strength s, one of the (1 - s) rarest of all starts, of the rarest four at
    least.
    """

    name = "tails"
    in_simulator = True

    def start(self, start: int, bank: Contexts) -> int:
        if self.strength == 0:
            return start
        order = np.argsort(-rarity(bank), kind="stable")
        return int(self.rng().choice(order[: max(4, round((1 - self.strength) * len(order)))]))


@dataclass(frozen=True)
class ViewComposition(Perturbation):
    """Begins in a place with the traffic of another: of the other's road users, a share of `strength` is added."""

    name = "view_composition"
    real_start = False

    def moments(self, moments: Moments, bank: Contexts) -> Moments:
        rng = self.rng()
        other = bank.observations["bev"][int(rng.integers(len(bank)))]
        # Columns of the view, so that whoever is added is whole in most cases, and the same ones in all steps.
        columns = rng.random(other.shape[-1] // 8) < self.strength
        there = np.isin(other, _AGENTS) & np.isin(moments.semantic, _ROAD) & columns.repeat(8)
        return Moments(np.where(there, other, moments.semantic), moments.ego, moments.actions)


@dataclass(frozen=True)
class Injection(Perturbation):
    """Somebody who was not there is placed into the real steps, and taken in by the model as if seen.

    kind: "vehicle" or "pedestrian". ahead: [m], None: by the strength, near where it is 1. across: [m] to the left of
    the ego's axis, and heading [rad] in its frame, None: drawn. speed: [m/s] along the heading. Where there is no road,
    nobody is placed.
    """

    kind: Literal["vehicle", "pedestrian"] = "vehicle"
    ahead: float | None = None
    across: float | None = None
    heading: float | None = None
    speed: float = 0.0
    name = "injection"
    real_start = False

    @property
    def size(self) -> float:
        """How near: 0 at the edge of the view, 1 where the ego stands."""
        return float(np.clip(1 - self.ahead / FAR, 0, 1)) if self.ahead is not None else self.strength

    def place(self) -> np.ndarray:
        """(3,) x, y, heading in the frame of the ego at the last of the real steps [m, m, rad]."""
        rng = self.rng()
        drawn = np.array([FAR + self.strength * (NEAR - FAR), rng.uniform(-1.5, 1.5), rng.uniform(-np.pi, np.pi)])
        asked = (self.ahead, self.across, self.heading)
        return np.array([own if own is not None else chance for own, chance in zip(asked, drawn)])

    def moments(self, moments: Moments, bank: Contexts) -> Moments:
        place, views = self.place(), moments.semantic.copy()
        length, width = SIZES[self.kind]
        row, column = (int(np.rint(v)) for v in BEV.pixels(place))
        if self.strength == 0 or not (0 <= row < BEV.height and 0 <= column < BEV.width):
            return moments
        if views[-1, row, column] not in _ROAD:
            return moments
        kind = SemanticClass.VEHICLE if self.kind == "vehicle" else SemanticClass.PEDESTRIAN
        seen = np.array([self._seen(place, moments, t) for t in range(len(views))])
        covered = views == SemanticClass.EGO
        paint_boxes(
            views,
            np.arange(len(views)),
            seen,
            np.full((len(views), 2), (length, width)),
            np.full(len(views), int(kind), np.uint8),
            BEV,
        )
        views[covered] = SemanticClass.EGO
        return Moments(views, moments.ego, moments.actions)

    def _seen(self, place: np.ndarray, moments: Moments, t: int) -> np.ndarray:
        """Where it was at real step `t`, seen by the ego then: both go back at their present speed."""
        ago = (len(moments.ego) - 1 - t) * DT
        speed, yaw_rate = moments.ego[-1, :2].astype(np.float64)
        x = place[0] - self.speed * ago * np.cos(place[2]) + speed * ago
        y = place[1] - self.speed * ago * np.sin(place[2])
        turn = yaw_rate * ago
        return np.array([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn), place[2] + turn])


@dataclass(frozen=True)
class Pedestrian(Injection):
    """Somebody on foot, who crosses."""

    kind: Literal["vehicle", "pedestrian"] = "pedestrian"
    speed: float = 1.4
    name = "pedestrian"
