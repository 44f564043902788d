"""A world whose best driving is known: a point on a line, which steering moves.

Reward is 1 at the goal and falls with the distance from it. The goal lies beyond a border, and every step there costs:
without regard to cost the best place is the goal, and with a low limit of cost it is the border.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from learned_sim_env.spec import SCENARIO_TAGS, Contract
from learned_sim_env.world_model.contexts import Contexts

GOAL, BORDER, STRIDE = 0.7, 0.2, 0.2
# Features: x, and how near it is to each of these places.
PLACES = torch.linspace(-1, 1, 11)


class LineWorld:
    """State: x (B,) in [-1, 1], and the last action. `cliff`: probability of a crash in a step beyond the border."""

    latent_size, noise_size, static_graph = 1 + len(PLACES), 1, False
    observes, draws, context_steps = ("ego",), ("bev",), 1

    def __init__(self, cliff: float = 0.0):
        self.contract, self.cliff = Contract(), cliff

    def initial(self, batch_size):
        return {"x": torch.zeros(batch_size), "action": torch.zeros(batch_size, 2)}

    def observe(self, state, action, observation):
        return {"x": observation["ego"][:, 0].clone(), "action": action.clone()}

    def imagine(self, state, action, noise, temperature=1.0):
        return {"x": (state["x"] + STRIDE * action[:, 0]).clamp(-1, 1), "action": action.clone()}

    def in_bfloat16(self):
        return self

    def features(self, state):
        x = state["x"][:, None]
        return torch.cat([x, (1 - 5 * (x - PLACES).abs()).clamp_min(0)], 1)

    def decode(self, state):
        x, zero = state["x"], 0 * state["x"]
        beyond = (x > BORDER).float()
        reward = 1 - (x - GOAL).abs()
        return {
            "ego": torch.stack([x, zero, *state["action"].T, zero, zero], 1),
            "motion": torch.stack([zero, zero, zero], 1),
            "terms": torch.stack([reward, zero, zero, zero], 1),
            "events": torch.stack([beyond * self.cliff, zero, zero, beyond * (self.cliff == 0)], 1),
            "uncertainty": zero + 0.25,
            "features": self.features(state),
        }

    def draw(self, state, names):
        return {"bev": torch.zeros(len(state["x"]), 64, 64, dtype=torch.uint8)}, state


def line_checkpoint(contexts: int = 32, **settings):
    """A checkpoint around it, whose contexts are evenly spread over the line."""
    model = LineWorld(**settings)
    ego = np.zeros((contexts, 1, 6), np.float32)
    ego[:, 0, 0] = np.linspace(-1, 1, contexts)
    moments = Contexts(
        {"ego": ego},
        actions=np.zeros((contexts, 1, 2), np.float32),
        tags=np.zeros((contexts, len(SCENARIO_TAGS)), bool),
        scenarios=np.arange(contexts),
        replay=np.zeros((contexts, 2), np.float32),
        replay_starts=np.arange(contexts + 1),
    )
    return SimpleNamespace(
        name="line", model=model, contexts=moments, contract=model.contract, fingerprint="line", uncertainty_bound=1.0
    )


def driven(policy, steps: int = 30):
    """Where the policy is in the end (32,), begun at the places of the contexts."""
    model = LineWorld()
    state = {"x": torch.linspace(-1, 1, 32), "action": torch.zeros(32, 2)}
    for _ in range(steps):
        action = policy(model.features(state).numpy(), model.decode(state)["ego"].numpy())
        state = model.imagine(state, torch.from_numpy(action), None)
    return state["x"].numpy()
