"""What comes of plans: each imagined from the same moment, up to its end and, with a guide, beyond.

All plans of a decision meet the same futures: the same noise, as many times as there are futures, of which the mean
counts. With noise of its own for each plan, the best of many would be the one with the luckiest world, and the less a
plan's return is certain, the likelier it would be the best.
"""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.agents.actor_critic.actors import Spread, decision, drawn_noise
from learned_sim_env.agents.decisions import CENTRES, are_bins, carried_out
from learned_sim_env.agents.experience.worth import of_imagined
from learned_sim_env.agents.planning.guide import Guide
from learned_sim_env.agents.planning.planner_settings import PlannerSettings
from learned_sim_env.imagination import Inference, Rollout, Start
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of
from learned_sim_env.world_model.torch_state import own_state

SEED_LIMIT = 2**63


class Futures:
    """Imagines plans, `settings.sequences` at a time, each in `settings.futures` futures.

    Args:
        checkpoint: of the frozen world model.
        settings: of the planner.
        guide: values where plans end, if any.
    """

    def __init__(self, checkpoint: Checkpoint, settings: PlannerSettings, guide: Guide | None = None):
        self.settings, self.guide, self.contract = settings, guide, checkpoint.contract
        model = checkpoint.model
        self._rollouts = {
            rows: Rollout(model, rows, Inference(device_of(model), rows))
            for rows in (settings.sequences * settings.futures, settings.proposals if guide else 0)
            if rows
        }

    def evaluate(self, start: Start, plans: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Discounted worth (N,) and cost (N,) of plans (N, D, 2) from a start of one row, means over F futures.

        A step counts as far as no event is likely to have ended the episode before it.

        seeds: (F,) int64, of the futures' noise. Nothing else is left to chance.
        """
        s, guide = self.settings, self.guide
        rollout, ego = self._begin(start, np.tile(seeds, len(plans)))
        plans = np.repeat(plans, len(seeds), 0)
        worth, cost = np.zeros((2, len(plans)))
        weight = np.ones(len(plans))
        for t in range(s.horizon):
            imagined = rollout.step(carried_out(s.actions, plans[:, t // s.hold], ego)).or_nothing()
            step = of_imagined(imagined, self.contract, s)
            worth += weight * step.worth
            cost += weight * step.cost
            weight, ego = s.gamma * weight * step.goes_on, imagined.ego
        if guide is not None:
            with own_state(), torch.inference_mode():
                features = torch.from_numpy(np.nan_to_num(rollout.features()))
                worth += weight * guide.values(features).numpy()
                cost += weight * guide.costs(features).numpy()
        return worth.reshape(-1, len(seeds)).mean(1), cost.reshape(-1, len(seeds)).mean(1)

    def proposed(self, start: Start, chance: np.random.Generator) -> np.ndarray | None:
        """Plans (n, D, 2) of what the guide would decide, by chance; None without one.

        Each in a future of its own: it answers what happens there, which it must not know of those it is judged in.
        """
        s, guide = self.settings, self.guide
        if guide is None or not s.proposals:
            return None
        rollout, ego = self._begin(start, chance.integers(SEED_LIMIT, size=s.proposals))
        generator = torch.Generator().manual_seed(int(chance.integers(2**62)))
        plans = []
        for t in range(s.horizon):
            if t % s.hold == 0:
                with own_state(), torch.inference_mode():
                    numbers = guide.actor(torch.from_numpy(np.nan_to_num(rollout.features())))
                    noise = drawn_noise(guide.actor.kind, s.proposals, generator)
                    decided = decision(guide.actor.kind, numbers, Spread()).draw(noise).numpy()
                plans.append(CENTRES[decided] if are_bins(guide.actor.kind) else decided.clip(-1, 1))
            ego = rollout.step(carried_out(s.actions, plans[-1], ego)).or_nothing().ego
        return np.stack(plans, 1)

    def _begin(self, start: Start, seeds: np.ndarray) -> tuple[Rollout, np.ndarray]:
        rollout = self._rollouts[len(seeds)]
        rollout.start(np.arange(len(seeds)), start, seeds)
        return rollout, np.repeat(start.ego, len(seeds), 0)
