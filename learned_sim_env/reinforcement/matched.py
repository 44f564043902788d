"""The same driver from the same moments in the dream and in its twin: what a dream says of it, and what is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import Driver, observed_by
from learned_sim_env.environments.observations import shown
from learned_sim_env.reinforcement.infos import of_step
from learned_sim_env.scene import SimulatorError
from learned_sim_env.spec import FAILURES
from learned_sim_env.twins.approach import bring_to_context

if TYPE_CHECKING:
    from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.world_model.checkpoint import Checkpoint
    from learned_sim_env.world_model.contexts import Contexts


@dataclass(frozen=True, eq=False)
class DrivenStretches:
    """N stretches of driving, each up to its end or a number of steps.

    reward, cost: (N,) float64, summed. uncertainty: (N,) float64, mean of the steps. steps: (N,) int64. speed: (N,)
    float64, mean [m/s]. end: N reasons, "" where it was not over.
    """

    reward: np.ndarray
    cost: np.ndarray
    uncertainty: np.ndarray
    steps: np.ndarray
    speed: np.ndarray
    end: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: list(v) if isinstance(v, tuple) else v.tolist() for name, v in vars(self).items()}

    @staticmethod
    def of_plain(values: dict[str, Any]) -> DrivenStretches:
        """What `plain` gave."""
        arrays = {name: np.array(v) for name, v in values.items() if name != "end"}
        return DrivenStretches(**arrays, end=tuple(values["end"]))


def reachable(contexts: Contexts, count: int, most_steps: int) -> list[int]:
    """`count` contexts, evenly spread, that a simulator reaches in at most `most_steps` steps; all, if fewer are.

    Bringing a simulator to a moment means driving there from the start of its scenario, for every driver anew.
    """
    near = np.flatnonzero(np.diff(contexts.replay_starts) <= most_steps)
    return near[np.unique(np.linspace(0, len(near) - 1, min(count, len(near))).round().astype(int))].tolist()


def in_dream(
    checkpoint: Checkpoint,
    driver: str | Callable[[LearnedDrivingVectorEnv], Driver],
    contexts: Sequence[int],
    repeats: int,
    steps: int,
) -> DrivenStretches:
    """Drive from `contexts`, `repeats` times each, which are neighbours in the result, with different chance.

    driver: the name of one, or what makes one of the dream's rows that is shown the ego vector alone.

    Raises:
        ValueError: if the model gives what is not finite, which says nothing about the driving.
    """
    from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv

    rows = np.repeat(contexts, repeats)
    named, began = open_driver(driver, range(len(rows))) if isinstance(driver, str) else None, np.ones(len(rows), bool)
    # The model's own doubt must not end what is compared: the twin has none.
    env = LearnedDrivingVectorEnv(
        len(rows),
        checkpoint,
        uncertainty_bound=float("inf"),
        autoreset_mode=AutoresetMode.SAME_STEP,
        # Nothing is drawn that the driver does not need.
        modalities=tuple(dict.fromkeys(("ego", *(observed_by(named) if named else ())))),
    )
    act = named or driver(env)  # type: ignore[operator]
    observations, _ = env.reset(seed=0)
    for context in contexts:
        observations, _ = env.reset(options={"context": context, "reset_mask": rows == context})
    totals, taken = np.zeros((4, len(rows))), np.zeros(len(rows), np.int64)
    end, running = np.full(len(rows), "", object), np.ones(len(rows), bool)
    for _ in range(steps):
        speed = observations["ego"][:, 0]
        observations, rewards, terminated, truncated, infos = env.step(act(observations, began))
        over = terminated | truncated
        told = [of_step(infos, key, over) for key in ("cost", "uncertainty")]
        totals += running * np.stack([rewards, *told, speed])
        taken += running
        end[running & over] = of_step(infos, "end_reason", over)[running & over]
        running &= ~over
        began = over
        if not running.any():
            break
    env.close()
    if lost := [int(row) for row, reason in zip(rows, end) if reason in FAILURES]:
        raise ValueError(
            f"the model gave numbers that are not finite from contexts {lost}: {driver} is not judged by them"
        )
    reward, cost, doubt, speed = totals
    return DrivenStretches(reward, cost, doubt / taken, taken, speed / taken, tuple(end))


def in_twin(
    twin: TwinDrivingEnv, checkpoint: Checkpoint, name: str, contexts: Sequence[int], steps: int
) -> DrivenStretches:
    """Drive from `contexts`, once each: the simulator leaves nothing to chance.

    Raises:
        SimulatorError: if the simulator fails, which says nothing about the driving.
    """
    found = [_stretch(twin, checkpoint.contexts, name, context, steps) for context in contexts]
    reward, cost, taken, speed, end = zip(*found)
    return DrivenStretches(
        np.array(reward), np.array(cost), np.zeros(len(found)), np.array(taken), np.array(speed), tuple(end)
    )


def _stretch(
    twin: TwinDrivingEnv, contexts: Contexts, name: str, context: int, steps: int
) -> tuple[float, float, int, float, str]:
    bring_to_context(twin, contexts, context)
    act, began = open_driver(name, [context], twin.simulator), np.ones(1, bool)
    needed = observed_by(act)
    reward = cost = speed = 0.0
    taken, over = 0, False
    while taken < steps and not over:
        speed += float(twin.ego_vector[0])
        seen = shown(twin.observed(needed), "dict", twin.contract)
        action = act({key: value[None] for key, value in seen.items()}, began)[0]
        _, gained, _, _, info = twin.step(action)
        reward, cost, began = reward + float(gained), cost + info["cost"], np.zeros(1, bool)
        taken, over = taken + 1, bool(info["end_reason"])
    if info["end_reason"] in FAILURES:
        raise SimulatorError(f"the simulator failed {taken} steps after context {context}: {name} is not judged by it")
    return reward, cost, taken, speed / taken, info["end_reason"]
