"""A dream beside the simulator it was learned from: started at the same moment, driven with the same actions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_sim_env.environments.observations import in_view, picture
from learned_sim_env.films import above, beside, labelled
from learned_sim_env.registration import declarations
from learned_sim_env.scene import SimulatorError
from learned_sim_env.spec import Contract, unknown
from learned_sim_env.twins.approach import Agreement, bring_to_context

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv

# How simulators write themselves.
TITLES = {"metadrive": "MetaDrive", "carla": "CARLA"}
# [pixels] About as wide as one side of a film is, and the smallest factor by which frames are enlarged for it.
SIDE_WIDTH, SMALLEST_SCALE = 320, 2
# The only row of an environment.
ROW = np.array([0])


def open_twin(env_id: str, simulator: str = "", **settings: Any) -> TwinDrivingEnv:
    """The twin that environment `env_id` declares, without a time limit of its own: a dream begins after its start.

    Args:
        env_id: of a learned environment.
        simulator: another one of the same contract than the declared twin's.
        settings: of the simulator, beside those that are declared.

    Raises:
        ValueError: if it declares none, or there is no such simulator.
        ImportError: if what the twin needs is not installed.
    """
    from learned_sim_env.environments.twin import TwinDrivingEnv

    return TwinDrivingEnv(**twin_settings(env_id, simulator, **settings))


def twin_settings(env_id: str, simulator: str = "", **settings: Any) -> dict[str, Any]:
    """The arguments with which `open_twin` makes it."""
    known = declarations()
    if simulator:
        alike = [d for d in known.values() if (d.contract, d.form) == (known[env_id].contract, known[env_id].form)]
        twins = {d.backend: d for d in alike if d.backend != "learned"}
        if simulator not in twins:
            raise unknown("simulator", simulator, twins)
        twin = twins[simulator]
    elif known[env_id].twin:
        twin = known[known[env_id].twin]
    else:
        raise ValueError(f"{env_id} has no twin")
    return {**twin.kwargs(), "info_type": "full", "max_episode_steps": 1_000_000, **settings}


@dataclass(frozen=True)
class Side:
    """What one of the two showed and gave at a moment. frame: (H, W, 3) uint8 RGB, see `pictured`."""

    frame: np.ndarray
    reward: float = 0.0
    cost: float = 0.0
    end_reason: str = ""


@dataclass(frozen=True)
class PairMoment:
    """One moment of a pair; observation and info are the dream's, `twin` is None where there is none.

    simulator: how the twin's is called. dt: of a step [s].
    """

    observation: dict[str, np.ndarray]
    info: dict[str, Any]
    dream: Side
    twin: Side | None
    simulator: str = ""
    dt: float = 0.1

    @property
    def over(self) -> bool:
        """Whether the episode has ended in either."""
        return bool(self.dream.end_reason or (self.twin and self.twin.end_reason))

    def picture(self, scale: int | None = None) -> np.ndarray:
        """RGB (H', W', 3) uint8, each side under its name and how it ended; needs Pillow.

        Args:
            scale: by which frames are enlarged; None: to about `SIDE_WIDTH` pixels or more.
        """
        seconds = self.info["imagined_steps"] * self.dt
        sides = [(f"imagined, {seconds:.1f} s since the last real frame", self.dream)]
        if self.twin is not None:
            sides.append((self.simulator, self.twin))
        height, width = self.dream.frame.shape[:2]
        ends = [f": {side.end_reason.replace('_', ' ')}" if side.end_reason else "" for _, side in sides]
        scale = scale or max(SMALLEST_SCALE, SIDE_WIDTH // width)
        parts = [labelled(side.frame, name + end, scale) for (name, side), end in zip(sides, ends)]
        # Cameras abreast are wide: two of them stand one above the other.
        return above(parts) if width > 2 * height else beside(parts)


class Pair:
    """A learned environment (obs_type "dict", continuous actions) and its twin, or None to dream alone.

    Attributes:
        agreement: how near the twin came to the context where the dream began; None before, or without a twin.
        simulator: how the twin's is called, "" without one.
        steps: taken since it was made. dream_seconds, twin_seconds: spent in them.
    """

    def __init__(self, dream: gym.Env, twin: TwinDrivingEnv | None):
        self.dream, self.twin = dream, twin
        self.agreement: Agreement | None = None
        self.simulator = "" if twin is None else TITLES.get(twin.simulator_name, twin.simulator_name)
        self.steps, self.dream_seconds, self.twin_seconds = 0, 0.0, 0.0
        self._episodes = dream.get_wrapper_attr("episodes")
        self._contract = self._episodes.contract
        self._viewed = in_view(self._contract, self._episodes.rollout.model.draws)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None, actions: np.ndarray | None = None
    ) -> PairMoment:
        """Begin at a context, or at a moment since one.

        Args:
            seed, options: of the dream.
            actions: (n, 2), what was done in the dream since its context, where option "snapshot" was taken n steps
                after it: the twin then does the same.

        Raises:
            ValueError: for options that do not say how the twin gets to where the dream begins; nothing has been reset
                then. Or if the twin's episode ends on the way.
            SimulatorError: if the simulator fails.
        """
        since = np.zeros((0, 2)) if self.twin is None else self._since_context(options or {}, actions)
        observation, info = self.dream.reset(seed=seed, options=options)
        twin = None
        if self.twin is not None:
            contexts = self.dream.get_wrapper_attr("checkpoint").contexts
            self.agreement = bring_to_context(self.twin, contexts, info["context"])
            for step, action in enumerate(since, start=1):
                *_, told = self.twin.step(action)
                if told["end_reason"] == "simulator_error":
                    raise SimulatorError(f"the simulator failed {step} steps after context {info['context']}")
                if told["end_reason"]:
                    raise ValueError(
                        f"the twin's episode ends {step} steps after context {info['context']} ({told['end_reason']}), "
                        f"before the {len(since)} of the snapshot"
                    )
            twin = Side(self._twin_frame())
        return PairMoment(observation, info, Side(self._dream_frame()), twin, self.simulator, self._contract.dt)

    def step(self, action: np.ndarray) -> PairMoment:
        """One clock step of both under `action` (2,) float32."""
        began = time.perf_counter()
        observation, reward, _, _, info = self.dream.step(action)
        dream = Side(self._dream_frame(), float(reward), info["cost"], info["end_reason"])
        self.dream_seconds += time.perf_counter() - began
        self.steps += 1
        twin = None
        if self.twin is not None:
            began = time.perf_counter()
            _, twin_reward, _, _, twin_info = self.twin.step(action)
            twin = Side(self._twin_frame(), twin_reward, twin_info["cost"], twin_info["end_reason"])
            self.twin_seconds += time.perf_counter() - began
        return PairMoment(observation, info, dream, twin, self.simulator, self._contract.dt)

    def close(self) -> None:
        """Close both."""
        self.dream.close()
        if self.twin is not None:
            self.twin.close()

    def _dream_frame(self) -> np.ndarray:
        rollout = self._episodes.rollout
        rollout.draw(self._viewed, ROW)
        return pictured({name: rollout.drawn(name, ROW)[0] for name in self._viewed}, self._contract)

    def _twin_frame(self) -> np.ndarray:
        assert self.twin is not None
        return pictured(self.twin.observed(self._viewed), self._contract)

    def _since_context(self, options: dict[str, Any], actions: np.ndarray | None) -> np.ndarray:
        """(n, 2) float32: what brings the twin from the context to where the dream begins, see `reset`."""
        otherwise = "begin at a context (options 'context' or 'scenario'), or dream without a twin"
        if "observations" in options:
            raise ValueError(
                f"option 'observations': the twin cannot be brought to observations of your own; {otherwise}"
            )
        if "snapshot" not in options:
            if actions is not None:
                raise ValueError("actions belong to option 'snapshot', which is missing")
            return np.zeros((0, 2), np.float32)
        from learned_sim_env.environments.actions import to_continuous
        from learned_sim_env.environments.snapshots import opened

        record = opened(options["snapshot"], self._episodes.rollout, self._episodes.checkpoint)[1][0]
        steps, context = int(record["imagined_steps"]), int(record["context"])
        if context < 0:
            raise ValueError(f"option 'snapshot': its dream did not begin at a context of the twin's; {otherwise}")
        if actions is None and steps:
            raise ValueError(
                f"option 'snapshot': it was taken {steps} steps after context {context}; give these {steps} actions, "
                "so that the twin does the same"
            )
        taken = np.zeros((0, 2)) if actions is None else np.asarray(actions)
        if taken.shape != (steps, 2):
            raise ValueError(
                f"actions have shape {taken.shape}; the snapshot needs {(steps, 2)}, those since its context"
            )
        return np.stack([to_continuous(action, "continuous") for action in taken]) if steps else taken


def pictured(seen: Mapping[str, np.ndarray], contract: Contract) -> np.ndarray:
    """(H, W, 3) uint8 RGB of views: those of the first one's height abreast, a line of dark pixels between them."""
    height = len(next(iter(seen.values())))
    abreast = [picture({name: view}, contract) for name, view in seen.items() if len(view) == height]
    return beside(abreast, gap=1)
