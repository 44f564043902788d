"""What it makes to a policy that real features are filtered from what is seen, where it learned on imagined ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.agents.actor_critic.latent_policy import LatentPolicy
from learned_sim_env.drivers.driver import Observations
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.reinforcement.matched import DrivenStretches, in_dream
from learned_sim_env.reporting.display import plain, text
from learned_sim_env.reporting.parts import Part, Table

REPLICATES = 2000
MEASURES = {"reward": ("return", 1), "cost": ("cost", 2), "steps": ("steps", 1), "speed": ("speed [m/s]", 1)}


class ByImagination:
    """Drives all rows of a dream by the features of what is imagined there, as while it learned; see `Driver`."""

    observes = ("ego",)

    def __init__(self, policy: LatentPolicy, env: LearnedDrivingVectorEnv):
        self._policy, self._env = policy, env

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return self._policy(self._env.episodes.rollout.features(), observations["ego"])


def both_ways(path: Path, moments: int, steps: int = 100) -> dict[str, DrivenStretches]:
    """The policy in a file from the same real moments with the same chance, in its dream: by "imagined" and "filtered"
    features.

    Args:
        path: of the file.
        moments: contexts of the checkpoint, evenly spread.
        steps: from each of them, at most.
    """
    policy = LatentPolicy.load(path)
    checkpoint = policy.checkpoint
    contexts = np.linspace(0, len(checkpoint.contexts) - 1, moments).round().astype(int).tolist()
    ways: dict[str, Any] = {"imagined": partial(ByImagination, policy), "filtered": str(path)}
    return {way: in_dream(checkpoint, driver, contexts, 1, steps) for way, driver in ways.items()}


def sight_part(driven: dict[str, DrivenStretches]) -> Part:
    """What `both_ways` gave, side by side, and the differences."""
    moments = len(driven["imagined"].reward)
    weights = resample(np.arange(moments), moments, REPLICATES, seed=0)
    found: dict[str, dict[str, Estimate]] = {}
    numbers = {way: {name: np.asarray(getattr(d, name), float) for name in MEASURES} for way, d in driven.items()}
    numbers["difference"] = {name: numbers["filtered"][name] - numbers["imagined"][name] for name in MEASURES}
    for way, values in numbers.items():
        found[way] = {name: Estimate.of(weights @ value / weights.sum(1)) for name, value in values.items()}
    head = ("features", *(title for title, _ in MEASURES.values()))
    rows = tuple(
        (way, *(text(values[name], digits) for name, (_, digits) in MEASURES.items())) for way, values in found.items()
    )
    return Part(
        name="sight",
        title="What filtering makes",
        method=(
            f"The last policy drives in the dream from {moments} real moments, with the same chance: by the features "
            "of what is imagined, as while it learned, and by features that the model filters from what the dream "
            "draws, beginning with the first picture, as a simulator's are. Intervals (95%) resample moments."
        ),
        limits="The dream draws what its model knows: a simulator shows what it does not.",
        tables=(Table("The same policy by imagined and by filtered features", head, rows),),
        values=plain(found),
    )
