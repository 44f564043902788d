"""Starts for a dream, recorded on the spot in the simulator that is to be seen beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.scene import SimulatorError
from learned_sim_env.world_model.contexts import CONTEXT_STEPS, Contexts

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv

# Steps that the simulator's own expert drives up to the end of a context: until it is under way.
STEPS = 40


def recorded_contexts(
    twin: TwinDrivingEnv, scenarios: Iterable[int], names: Iterable[str], moments: int = CONTEXT_STEPS
) -> Contexts:
    """A context of each of `scenarios`, but of those that end within `STEPS` steps.

    Args:
        twin: obs_type "dict", continuous actions; its simulator must have an "expert".
        scenarios: the simulator's seeds.
        names: modalities that a model observes, "ego" among them.
        moments: of each context, the last of those that were driven.

    Raises:
        SimulatorError: if the simulator fails.
        ValueError: if no scenario lasts long enough.
    """
    names = tuple(names)
    driven = [(seed, rows) for seed in scenarios if len(rows := list(_driven(twin, seed, names))) == STEPS]
    if not driven:
        raise ValueError(f"no scenario lasts {STEPS} steps: the simulator can give the dream no start")
    last = [rows[-moments:] for _, rows in driven]
    return Contexts(
        {name: np.array([[seen[name] for seen, *_ in rows] for rows in last]) for name in names},
        actions=np.array([[action for _, action, _ in rows] for rows in last]),
        tags=np.array([rows[-1][2] for _, rows in driven]),
        scenarios=np.array([seed for seed, _ in driven]),
        replay=np.array([action for _, rows in driven for _, action, _ in rows]),
        replay_starts=STEPS * np.arange(len(driven) + 1),
    )


def _driven(
    twin: TwinDrivingEnv, seed: int, names: tuple[str, ...]
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    """Modalities, the action that led there, and tags of each step, until the episode ends."""
    simulator: Any = twin.simulator
    twin.reset(seed=seed)
    for _ in range(STEPS):
        action = simulator.policy_action("expert")
        *_, terminated, truncated, info = twin.step(action)
        if info["end_reason"] == "simulator_error":
            raise SimulatorError(f"the simulator failed in scenario {seed}, before a dream could start there")
        if terminated or truncated:
            return
        yield {name: value.copy() for name, value in twin.observed(names).items()}, action, twin.tags
