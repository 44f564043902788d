"""A drive that is asked for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.spec import COST_TERMS, REWARD_TERMS
from learned_sim_env.task import ENDS, NOT_FINITE, UNCERTAINTY
from learned_sim_env.world_model.contexts import Contexts

if TYPE_CHECKING:
    from learned_sim_env.rendering.camera import Appearance


@dataclass(frozen=True)
class Job:
    """One drive. start: row of the bank of starts. seed: of the dream's chance. horizon: steps.

    actions: to be taken instead of what the driver would do, shape (T, 2), as nested tuples; None: the driver drives.
    """

    name: str
    start: int
    seed: int
    horizon: int
    perturbations: tuple[Perturbation, ...] = ()
    actions: tuple[tuple[float, float], ...] | None = None

    @property
    def temperature(self) -> float:
        """Of the dream's chance."""
        return float(np.prod([p.dream().get("temperature", 1.0) for p in self.perturbations]))

    def place(self, bank: Contexts) -> int:
        """Row of the bank where it starts in the end."""
        place = self.start
        for p in self.perturbations:
            place = p.start(place, bank)
        return place

    def appearance(self, bank: Contexts) -> Appearance | None:
        """How its world looks to cameras, as the last perturbation that says so has it; None: as it always does."""
        scenario = int(bank.scenarios[self.place(bank)])
        looks = [look for p in self.perturbations if (look := p.appearance(scenario)) is not None]
        return looks[-1] if looks else None

    @property
    def size(self) -> float:
        """How large all its perturbations are together: the length of the vector of their sizes."""
        return float(np.hypot.reduce([p.size for p in self.perturbations] or [0.0]))


# [steps] A dream draws its events step by step; shorter ones are noise rather than driving.
LASTING = 5
# What ends a drive badly.
CRASHES = ("collision", "off_road")
# Shape of a step of every array of a drive.
STEPS: dict[str, tuple[tuple[int, ...], type]] = {
    "ego": ((6,), np.float32),
    "motion": ((3,), np.float32),
    "actions": ((2,), np.float32),
    "reward_terms": ((len(REWARD_TERMS),), np.float32),
    "cost_terms": ((len(COST_TERMS),), np.float32),
    "uncertainty": ((), np.float32),
    "risk": ((), np.float32),
    "gap": ((), np.float32),
}


@dataclass(eq=False)
class DriveResult:
    """T steps of a drive.

    ego: (T, 6) float32, after every step. motion: (T, 3) float32, see `spec.MOTION_FIELDS`. actions: (T, 2) float32, as
    carried out. reward_terms: (T, 7). cost_terms: (T, 3). uncertainty: (T,) the model's; 0 in a simulator. risk: (T,)
    probability of a crash in the step, as the model says; 0 or 1 in a simulator. gap: (T,) metres to what is
    next straight ahead in the view from above, infinite if nothing is, or if there is no such view. end: why it ended,
    "" where the horizon was reached first. error: what failed, "" if nothing did; then there are no steps. views:
    uint8, class ids (T + 1, H, W) or frames (T + 1, H, W, 3), if they were kept.
    """

    ego: np.ndarray
    motion: np.ndarray
    actions: np.ndarray
    reward_terms: np.ndarray
    cost_terms: np.ndarray
    uncertainty: np.ndarray
    risk: np.ndarray
    gap: np.ndarray
    end: str = ""
    error: str = ""
    views: np.ndarray | None = field(default=None)

    def __len__(self) -> int:
        return len(self.actions)

    @staticmethod
    def of(steps: dict[str, Any], end: str = "", error: str = "", views: np.ndarray | None = None) -> DriveResult:
        """From arrays by the names of `STEPS`."""
        return DriveResult(**steps, end=end, error=error, views=views)

    @staticmethod
    def failed(error: str) -> DriveResult:
        """One that never was."""
        return DriveResult.of({n: np.zeros((0, *shape), dtype) for n, (shape, dtype) in STEPS.items()}, error=error)

    @property
    def collided(self) -> bool:
        """Whether it ended in, or had, a collision."""
        return bool(self.cost_terms[:, COST_TERMS.index("collision")].any())

    @property
    def violated(self) -> bool:
        """Whether it left the road, or went against the traffic for `LASTING` steps in all."""
        costs = dict(zip(COST_TERMS, self.cost_terms.sum(0)))
        return bool(costs["off_road"] > 0 or costs["wrong_way"] >= LASTING)

    @property
    def failure(self) -> bool:
        """Whether anything at all went wrong."""
        return self.collided or self.violated

    @property
    def broken_off(self) -> bool:
        """Whether the model ended it: by its own doubt, or because it gave numbers that are not finite."""
        return self.end in (ENDS[UNCERTAINTY], ENDS[NOT_FINITE])

    @property
    def crashed(self) -> bool:
        """Whether it ended in a collision or off the road."""
        return self.end in CRASHES


def pack(drives: list[DriveResult]) -> dict[str, np.ndarray]:
    """Drives as arrays, one after the other; views, where there are any, as well."""
    arrays = {name: np.concatenate([getattr(d, name) for d in drives]) for name in STEPS}
    arrays["lengths"] = np.array([len(d) for d in drives])
    arrays["end"], arrays["error"] = np.array([d.end for d in drives]), np.array([d.error for d in drives])
    if all(d.views is not None for d in drives):
        arrays["views"] = np.concatenate([d.views for d in drives if d.views is not None])
    return arrays


def unpack(arrays: dict[str, np.ndarray]) -> list[DriveResult]:
    """What `pack` made of drives."""
    last = np.cumsum(arrays["lengths"])
    drives = []
    for i, (end, length) in enumerate(zip(last, arrays["lengths"])):
        some = slice(end - length, end)
        steps = {n: arrays[n][some] for n in STEPS}
        drive = DriveResult.of(steps, str(arrays["end"][i]), str(arrays["error"][i]))
        if "views" in arrays:
            drive.views = arrays["views"][end - length + i : end + i + 1]
        drives.append(drive)
    return drives
