"""What may go wrong between a world and its driver, as small values that can be combined, saved and repeated."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from learned_sim_env.measures.needs import NOTHING, Needs
from learned_sim_env.world_model.contexts import Contexts

if TYPE_CHECKING:
    from learned_sim_env.rendering.camera import Appearance

# What one row of a driver gets to see at a step, by modality: class ids (H, W) uint8, camera frames, vectors. It may be
# written in place; what is not there is not shown to the driver.
Seen = dict[str, np.ndarray]


def is_camera(value: np.ndarray) -> bool:
    """Whether it is a camera's frame (H, W, 3) uint8."""
    return value.ndim == 3 and value.dtype == np.uint8


OnObservation = Callable[[int, Seen], Seen]
# An action (2,) float32 at a step, as it is carried out.
OnAction = Callable[[int, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class RealSteps:
    """The last T real steps of a drive. observations: by modality (T, *shape). actions: (T, 2) float32."""

    observations: Mapping[str, np.ndarray]
    actions: np.ndarray

    @property
    def ego(self) -> np.ndarray:
        """(T, 6) float32."""
        return self.observations["ego"]

    @property
    def bev(self) -> np.ndarray:
        """(T, H, W) uint8."""
        return self.observations["bev"]

    def seeing(self, observations: Mapping[str, np.ndarray]) -> RealSteps:
        """The same but for some modalities (T, *shape)."""
        return RealSteps({**self.observations, **observations}, self.actions)

    def with_bev(self, views: np.ndarray) -> RealSteps:
        """The same but for the view from above."""
        return self.seeing({"bev": views})

    @staticmethod
    def of(bank: Contexts, i: int) -> RealSteps:
        """Row `i` of a bank."""
        return RealSteps({name: seen[i] for name, seen in bank.observations.items()}, bank.actions[i])


@dataclass(frozen=True)
class Perturbation:
    """Base of all perturbations: every hook leaves things as they are.

    strength: 0 (nothing) to 1. seed: of all its randomness.

    name: as it is called. needs: of the model. in_simulator: whether the same can be done to a drive in a simulator.
    real_start: whether it starts at a moment that the simulator can be brought to. redraws: whether the start has to be
    drawn by the simulator anew, because it has an `appearance`.

    Raises:
        ValueError: for a strength outside of [0, 1].
    """

    strength: float = 0.5
    seed: int = 0
    name: ClassVar[str] = ""
    needs: ClassVar[Needs] = NOTHING
    in_simulator: ClassVar[bool] = False
    real_start: ClassVar[bool] = True
    redraws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"the strength of {self.name} is {self.strength}; it must be in [0, 1]")

    @property
    def size(self) -> float:
        """How large a change it is, in [0, 1]."""
        return self.strength

    def rng(self) -> np.random.Generator:
        """A generator of its own, always the same."""
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode())])

    def named(self, what: str) -> np.random.Generator:
        """A generator for one thing of several, such as a camera, always the same."""
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), zlib.crc32(what.encode())])

    def start(self, start: int, bank: Contexts) -> int:
        """Which row of the bank to start from, instead of `start`."""
        return start

    def moments(self, moments: RealSteps, bank: Contexts) -> RealSteps:
        """The real steps that the dream starts from."""
        return moments

    def partner(self, bank: Contexts) -> int | None:
        """Row of the bank whose latent the dream's is mixed with, by `strength`; None: none."""
        return None

    def dream(self) -> dict[str, float]:
        """Settings of `perturbed_model.PerturbedModel` and "temperature", where it changes them."""
        return {}

    def appearance(self, scenario: int) -> Appearance | None:
        """How the world of a simulator's scenario looks to cameras, real steps included; None: as it always does."""
        return None

    def later_appearance(self, scenario: int) -> tuple[int, Appearance] | None:
        """A step, and how a simulator's world looks from then on; None: as before."""
        return None

    def imitation(self, scenario: int) -> OnObservation | None:
        """What changes a dream's observations as `later_appearance` does a simulator's; None: nothing."""
        return None

    def observation(self) -> OnObservation | None:
        """What changes the observations of an episode's driver, in a dream or a simulator; None: nothing."""
        return None

    def action(self) -> OnAction | None:
        """What changes an episode's actions; None: nothing."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, **asdict(self)}
