"""Policies that plan in a world model's imagination, at every step from what the model filters of what is seen.

A file holds the planner's settings, its guide if it has one, and which world model it plans in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.agents.agent import agent_class
from learned_sim_env.agents.decisions import are_targets, carried_out
from learned_sim_env.agents.experience.filtered import FilteredRows, world_model_metadata, world_model_of
from learned_sim_env.agents.planning.futures import SEED_LIMIT, Futures
from learned_sim_env.agents.planning.guide import Guide
from learned_sim_env.agents.planning.planner_settings import PlannerSettings
from learned_sim_env.agents.planning.search import Plan, search
from learned_sim_env.agents.rebuilt import rebuilt
from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.network import load_weights, read, write
from learned_sim_env.imagination import Start
from learned_sim_env.world_model.checkpoint import Checkpoint

# What a file's metadata says drives by it, see `catalogue.FILES`.
KIND = "planner"


@dataclass(frozen=True, eq=False)
class PlannerPolicy:
    """A planner in a world model.

    agent: its name, which says how it searches. named: what the checkpoint is called, see `checkpoint.find`.
    about: JSON-ready.
    """

    agent: str
    settings: PlannerSettings
    guide: Guide | None
    checkpoint: Checkpoint
    named: str
    about: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file."""
        guide, more = self.guide, {}
        if guide is not None:
            net = guide.actor
            shape = {"hidden": net.hidden, "kind": net.kind, "costs": guide.cost_critic is not None}
            more = {"guide": json.dumps(shape)}
        tensors = {name: value.numpy().copy() for name, value in guide.state_dict().items()} if guide else {}
        about = {
            "driver": KIND,
            "planner": json.dumps({"agent": self.agent, **asdict(self.settings)}),
            **more,
            **world_model_metadata(self.checkpoint, self.named),
        }
        fingerprints = self.checkpoint.contract.fingerprints(self.checkpoint.model.observes)
        write(path, tensors, fingerprints, are_targets(self.settings.actions), self.about, about)

    @staticmethod
    def load(path: Path) -> PlannerPolicy:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file, or not the world model.
            ValueError: if it is no planner, or one for another contract or world model.
        """
        metadata, tensors = read(path)
        if metadata.get("driver") != KIND:
            raise ValueError(f"{path} is no planner: its driver is {metadata.get('driver')}")
        checkpoint = world_model_of(path, metadata)
        stored = json.loads(metadata["planner"])
        agent = stored.pop("agent")
        guide = None
        if "guide" in metadata:
            shape = json.loads(metadata["guide"])
            guide = Guide(checkpoint.model.latent_size, tuple(shape["hidden"]), shape["kind"], shape["costs"])
            load_weights(guide, path, tensors)
            guide.requires_grad_(False)
        settings = rebuilt(agent_class(agent).settings_class, stored)
        about = json.loads(metadata.get("about", "{}"))
        return PlannerPolicy(agent, settings, guide, checkpoint, metadata["world_model"], about)


class RowPlanner:
    """Plans for one row; what it does depends on what was seen since the episode began, and on the seed.

    Args:
        policy: how.
        futures: of the same policy; rows that take turns may share it.
        seed: of all chance.
    """

    def __init__(self, policy: PlannerPolicy, futures: Futures, seed: int):
        self._policy, self._futures, self._seed = policy, futures, seed
        self.begin()

    def begin(self) -> None:
        """Forget what was planned: an episode begins."""
        s = self._policy.settings
        self._decided = 0
        self._refit = agent_class(self._policy.agent).refit(s)
        self._begin = Plan(np.zeros((s.decisions, 2)), np.full((s.decisions, 2), s.first))

    def decide(self, start: Start) -> np.ndarray:
        """(2,) float32 in [-1, 1], what is decided in the present, of one row."""
        futures, s = self._futures, self._policy.settings
        chance = np.random.default_rng([self._seed, self._decided])
        seeds = chance.integers(SEED_LIMIT, size=s.futures)
        plan = search(
            lambda plans: futures.evaluate(start, plans, seeds),
            self._refit,
            self._begin,
            s,
            chance,
            futures.proposed(start, chance),
        )
        self._begin, self._decided = plan.later(s.hold, s.first), self._decided + 1
        return plan.mean[0].astype(np.float32)


class PlanningDriver:
    """Drives rows by planning in each from what the model filters there."""

    def __init__(self, policy: PlannerPolicy, seeds: Sequence[int]):
        self._rows = FilteredRows(policy.checkpoint, len(seeds))
        self.observes, self._kind = self._rows.observes, policy.settings.actions
        futures = Futures(policy.checkpoint, policy.settings, policy.guide)
        self._planners = [RowPlanner(policy, futures, seed) for seed in seeds]

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        self._rows.update(observations, began)
        decided = []
        for planner, row, new in zip(self._planners, self._rows.filters, began):
            if new:
                planner.begin()
            decided.append(planner.decide(row.start()))
        return carried_out(self._kind, np.stack(decided), observations["ego"]).astype(np.float32)


def open_planner(path: Path, seeds: Sequence[int]) -> PlanningDriver:
    """What drives rows by the planner in a file, see `catalogue.FILES`."""
    return PlanningDriver(PlannerPolicy.load(path), seeds)
