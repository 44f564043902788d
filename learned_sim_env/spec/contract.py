"""The contract: what all environments of a task share, and the fingerprints that tell one from another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import gymnasium as gym
import numpy as np

from learned_sim_env.spec.actions import action_space
from learned_sim_env.spec.errors import unknown
from learned_sim_env.spec.fingerprints import Fingerprints
from learned_sim_env.spec.geometry import BevSpec
from learned_sim_env.spec.modality import BEV, EGO, FRONT, LEFT, RIGHT, ROUTE, Modality, digest
from learned_sim_env.spec.names import COST_TERMS, REWARD_TERMS, TERMINATIONS

# Numbers of obs_type "flat": what rays from the ego meet, now and a moment ago, and its own motion; see
# `drivers.ray_features`.
FLAT_SIZE = 110
OBS_TYPES = ("dict", "classes", "bev", "semantic", "flat", "latent")


@dataclass(frozen=True)
class RewardSpec:
    """Weights and bounds of the reward terms; see `task.reward_terms` for the formulas."""

    reference_speed: float = 15.0  # [m/s] at which progress saturates
    progress: float = 1.0
    lateral_speed: float = 0.2
    lateral_speed_bound: float = 3.0  # [m/s] at which the lateral term saturates
    jerk: float = 0.1
    jerk_bound: float = 60.0  # [m/s^3] at which the jerk term saturates
    steering_change: float = 0.1  # at a change of 2, from full left to full right
    arrival: float = 10.0
    collision: float = 10.0
    off_road: float = 10.0


@dataclass(frozen=True)
class Contract:
    """A task (clock, action, reward, cost, ends) and the modalities that its environments offer.

    modalities: all that can be observed or drawn; `ego` is among them.
    observation: those that an environment shows by default.
    """

    name: str = "driving"
    dt: float = 0.1  # [s]
    max_episode_steps: int = 500
    reward: RewardSpec = field(default_factory=RewardSpec)
    arrival_distance: float = 6.0  # [m] left on the route at which the ego has arrived
    wrong_way_angle: float = float(np.pi / 2)  # [rad] between ego and lane
    modalities: tuple[Modality, ...] = (BEV, EGO, ROUTE)
    observation: tuple[str, ...] = ("bev", "ego")

    def __post_init__(self) -> None:
        for name in self.observation:
            self.modality(name)

    def modality(self, name: str) -> Modality:
        """The modality with that name; `ValueError` if the contract has none."""
        for modality in self.modalities:
            if modality.name == name:
                return modality
        raise unknown(f"modality of contract {self.name!r}:", name, [m.name for m in self.modalities])

    @property
    def bev(self) -> BevSpec:
        """Geometry of the view from above; `ValueError` if there is none."""
        found = self.modality("bev").bev
        assert found is not None
        return found

    @property
    def cameras(self) -> tuple[Modality, ...]:
        """Modalities that are cameras."""
        return tuple(m for m in self.modalities if m.camera is not None)

    @property
    def obs_types(self) -> tuple[str, ...]:
        """What `observation_space` accepts: those of `OBS_TYPES` that the modalities allow, and single modalities."""
        seen_from_above = any(m.name == "bev" for m in self.modalities)
        common = OBS_TYPES if seen_from_above else ("dict", "classes", "latent")
        return (*common, *(m.name for m in self.modalities if m.name not in common))

    def episode_steps(self, asked: int | None) -> int:
        """Time limit of an episode [steps]: `asked`, or the contract's own; `ValueError` if that is less than 1."""
        if asked is not None and not asked >= 1:
            raise ValueError(f"max_episode_steps {asked!r} is less than 1")
        return self.max_episode_steps if asked is None else asked

    def observation_space(
        self, obs_type: str = "dict", latent_size: int = 0, names: Iterable[str] | None = None
    ) -> gym.Space:
        """Space of one observation.

        Args:
            obs_type: "dict" has `names`, class ids as pictures in `PALETTE`; "classes" has them as class ids, "bev"
                under the name "semantic"; "semantic" is that alone; the name of a modality is that modality alone, as
                in "dict"; "flat" and "latent" are vectors.
            latent_size: needed for "latent" only.
            names: of the modalities of "dict" and "classes"; None: `observation`.

        Raises:
            ValueError: for an unknown `obs_type`, or names that are unknown, none, or of another `obs_type`.
        """
        if obs_type not in self.obs_types:
            raise unknown("obs_type", obs_type, self.obs_types)
        if isinstance(names, str):
            raise ValueError(f"modalities is {names!r}, a text: give several names, as in ({names!r},)")
        if names is not None and obs_type not in ("dict", "classes"):
            raise ValueError(f"modalities belong to obs_type 'dict' or 'classes', not to {obs_type!r}: leave them out")
        if obs_type in ("dict", "classes"):
            wanted = [self.modality(name) for name in (self.observation if names is None else names)]
            if not wanted:
                raise ValueError(f"modalities is empty: give some of {', '.join(m.name for m in self.modalities)}")
            if obs_type == "dict":
                return gym.spaces.Dict({m.name: m.picture_space for m in wanted})
            return gym.spaces.Dict({observed_as(m.name): m.space for m in wanted})
        if obs_type == "semantic":
            return self.modality("bev").space
        if obs_type == "flat":
            return gym.spaces.Box(-10.0, 10.0, (FLAT_SIZE,), np.float32)
        if obs_type == "latent":
            return gym.spaces.Box(-np.inf, np.inf, (latent_size,), np.float32)
        return self.modality(obs_type).picture_space

    def action_space(self, action_type: str = "continuous") -> gym.Space:
        """`[steer, throttle_brake]` in [-1, 1] (steer +1 is full right), or the 30 actions of `DISCRETE_ACTIONS`."""
        return action_space(action_type)

    def task_fingerprint(self) -> str:
        """SHA-256 over clock, reward, cost and ends: the meaning of the numbers, whatever the modalities."""
        return digest(
            {
                "dt": self.dt,
                "max_episode_steps": self.max_episode_steps,
                "reward": asdict(self.reward),
                "arrival_distance": self.arrival_distance,
                "wrong_way_angle": self.wrong_way_angle,
                "reward_terms": list(REWARD_TERMS),
                "cost_terms": list(COST_TERMS),
                "terminations": list(TERMINATIONS),
            }
        )

    def fingerprints(self, names: Iterable[str] | None = None) -> Fingerprints:
        """Those of the task and of the modalities `names`; None: of all modalities."""
        wanted = self.modalities if names is None else [self.modality(name) for name in names]
        return Fingerprints(self.task_fingerprint(), {m.name: m.fingerprint() for m in wanted})

    def check(self, what: str, declared: Fingerprints, names: Iterable[str] | None = None) -> None:
        """`ValueError` if something was made for another task, or for other modalities.

        Args:
            what: the thing that is checked, for the message, as in "checkpoint bev-rssm".
            declared: what it was made for.
            names: of the modalities that must be the contract's; None: all that are declared.
        """
        if declared.task != self.task_fingerprint():
            raise ValueError(
                f"{what} was made for another task ({declared.task[:12]}) than contract {self.name!r} "
                f"({self.task_fingerprint()[:12]}): make it anew, or use the version of the package it was made with"
            )
        for name in declared.modalities if names is None else names:
            if name not in declared.modalities:
                raise ValueError(f"{what} has no modality {name!r}: it has {', '.join(declared.modalities)}")
            if name not in {m.name for m in self.modalities}:
                fitting = [c.name for c in CONTRACTS.values() if name in {m.name for m in c.modalities}]
                raise ValueError(
                    f"{what} needs {name!r}, which contract {self.name!r} does not have: "
                    f"use it in an environment of contract {' or '.join(map(repr, fitting)) or 'of another version'}"
                )
            mine, other = self.modality(name).fingerprint(), declared.modalities[name]
            if mine != other:
                raise ValueError(
                    f"{what} has another {name!r} ({other[:12]}) than contract {self.name!r} ({mine[:12]}): "
                    "make it anew, or use the version of the package it was made with"
                )


def observed_as(name: str) -> str:
    """Key of a modality in observations of class ids: "semantic" for "bev", which names the picture."""
    return "semantic" if name == "bev" else name


CONTRACTS = {
    "driving": Contract(),
    "driving-camera": Contract(
        "driving-camera",
        modalities=(FRONT, LEFT, RIGHT, EGO, ROUTE, BEV),
        observation=("front", "left", "right", "ego", "route"),
    ),
}
