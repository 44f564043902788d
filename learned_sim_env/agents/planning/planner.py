"""What agents that plan share. Nothing is learned: an update drives in a dream, and tells how well and how fast."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from learned_sim_env.agents.decisions import are_targets, carried_out
from learned_sim_env.agents.experience.worth import of_imagined
from learned_sim_env.agents.planning.futures import SEED_LIMIT, Futures
from learned_sim_env.agents.planning.guide import Guide
from learned_sim_env.agents.planning.planner_policy import PlannerPolicy, RowPlanner
from learned_sim_env.agents.planning.planner_settings import PlannerSettings
from learned_sim_env.agents.planning.search import Refit
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.imagination import Inference, Rollout, Start, Starts, judge
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of


class Planner:
    """A planner as an agent; the interface is `agent.Agent`. Subclasses say how the search goes on."""

    settings_class: ClassVar[type[Any]] = PlannerSettings
    run_defaults: ClassVar[Mapping[str, Any]] = {"updates": 4, "saves": 1}
    needs_data: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    by_features: ClassVar[bool] = False
    progress: ClassVar[tuple[str, ...]] = ("reward", "milliseconds")
    optimizer: ClassVar[None] = None

    def __init__(
        self, config: LearnConfig, settings: PlannerSettings, checkpoint: Checkpoint, data: PackedData | None = None
    ):
        self.config, self.settings, self.checkpoint = config, settings, checkpoint
        self.guide = Guide.of_run(Path(settings.guide), checkpoint) if settings.guide else None
        if self.guide is not None and settings.proposals:
            kind = self.guide.actor.kind
            if kind == "discrete" or are_targets(kind) != are_targets(settings.actions):
                raise ValueError(
                    f"the guide decides {kind}, the plans are of {settings.actions}: give --actions as the guide has "
                    "them, or --proposals 0"
                )
        self.module: nn.Module = nn.Module() if self.guide is None else self.guide
        self._futures = Futures(checkpoint, settings, self.guide)

    @staticmethod
    def refit(settings: Any) -> Refit:
        """How the search goes on from what was drawn; a new one for every episode."""
        raise NotImplementedError

    def update(self, number: int) -> dict[str, float]:
        """Drive from a real moment in the dream. "milliseconds": of processor, a decision."""
        chance = np.random.default_rng([self.config.seed, number])
        model, contexts, s = self.checkpoint.model, self.checkpoint.contexts, self.settings
        inference = Inference(device_of(model), 1)
        world, row = Rollout(model, 1, inference), np.zeros(1, np.int64)
        start = Starts(model, contexts, inference).from_contexts(chance.integers(len(contexts), size=1))
        world.start(row, start, chance.integers(SEED_LIMIT, size=1))
        planner = RowPlanner(self.policy({}), self._futures, int(chance.integers(SEED_LIMIT)))
        rewards: list[float] = []
        costs: list[float] = []
        spent, ended = 0.0, False
        while len(rewards) < s.stretch and not ended:
            began = time.process_time()
            action = carried_out(s.actions, planner.decide(start)[None], start.ego)
            spent += time.process_time() - began
            judged = judge(world.step(action), self.checkpoint.contract, float("inf"))
            worth = of_imagined(judged.imagined, self.checkpoint.contract, s)
            rewards.append(float(worth.reward[0]))
            costs.append(float(worth.cost[0]))
            ended = bool(judged.end[0] >= 0)
            start = Start.from_snapshot(model, inference, {**world.snapshot(0), "drawn": {}}, judged.imagined.ego[0])
        return {
            "reward": float(np.mean(rewards)),
            "cost": float(np.mean(costs)),
            "ended": float(ended),
            "milliseconds": 1000 * spent / len(rewards),
            "steps": len(rewards),
        }

    def policy(self, about: Mapping[str, Any]) -> PlannerPolicy:
        """See `agent.Agent`."""
        return PlannerPolicy(
            self.config.agent, self.settings, self.guide, self.checkpoint, self.config.checkpoint, about
        )

    def memory(self) -> dict[str, Tensor]:
        """See `agent.Agent`."""
        return {}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """See `agent.Agent`."""
