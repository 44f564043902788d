"""A world whose best driving is known: a point on a line, which steering moves.

Reward is 1 at the goal and falls with the distance from it. The goal lies beyond a border, and every step there costs:
without regard to cost the best place is the goal, and with a low limit of cost it is the border.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from learned_sim_env.data.episode import Episode
from learned_sim_env.data.packed import PackedData
from learned_sim_env.spec import SCENARIO_TAGS, Contract
from learned_sim_env.world_model.contexts import Contexts

GOAL, BORDER, STRIDE = 0.7, 0.2, 0.2
# Features: x, and how near it is to each of these places.
PLACES = torch.linspace(-1, 1, 11)


class LineWorld:
    """State: x (B,) in [-1, 1], and the last action.

    cliff: probability of a crash in a step beyond the border. told: whether the ego vector tells of the last action.
    """

    latent_size, noise_size, static_graph = 1 + len(PLACES), 1, False
    observes, draws, context_steps = ("ego",), ("bev",), 1

    def __init__(self, cliff: float = 0.0, told: bool = True):
        self.contract, self.cliff, self.told = Contract(), cliff, told

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
            "ego": torch.stack([x, zero, *(self.told * state["action"]).T, zero, zero], 1),
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


def line_episodes(count: int = 40, steps: int = 40, steer: float = 0.0, told: bool = True) -> PackedData:
    """Recorded episodes in which steering is drawn evenly about `steer`, from evenly spread places; of training seeds.

    "ego" is all that is observed.
    """
    rng, model = np.random.default_rng(0), LineWorld(told=told)
    actions = np.zeros((steps, count, 2), np.float32)
    actions[..., 0] = np.clip(rng.uniform(-1, 1, (steps, count)) + steer, -1, 1)
    state = {"x": torch.linspace(-1, 1, count), "action": torch.zeros(count, 2)}
    said = [model.decode(state)]
    for action in actions:
        state = model.imagine(state, torch.from_numpy(action), None)
        said.append(model.decode(state))
    ego, terms, events = (torch.stack([s[name] for s in said], 1).numpy() for name in ("ego", "terms", "events"))
    episodes = []
    for i in range(count):
        rewards = np.pad(terms[i], ((0, 0), (0, 3)))
        costs = np.stack([events[i, :, 0], events[i, :, 1], events[i, :, 3]], 1) > 0
        episodes.append(
            Episode(
                seed=10 * i,
                simulator="line",
                behaviour="even",
                end_reason="time_limit",
                observations={"ego": ego[i]},
                actions=actions[:, i],
                terminations=np.zeros(steps, bool),
                truncations=np.arange(steps) == steps - 1,
                rewards=rewards[1:].sum(1),
                reward_terms=rewards,
                cost_terms=costs.astype(np.float32),
            )
        )
    return PackedData.of(episodes, model.contract.fingerprints(("ego",)))


def planned(driver, places=(-0.9, 0.0, 0.9), steps: int = 20, told: bool = True):
    """Where a driver of one row is in the end, begun at each of `places`, shown the ego vector."""
    model, reached = LineWorld(told=told), []
    for place in places:
        state = {"x": torch.tensor([place]), "action": torch.zeros(1, 2)}
        for t in range(steps):
            action = driver({"ego": model.decode(state)["ego"].numpy()}, np.array([t == 0]))
            state = model.imagine(state, torch.from_numpy(action), None)
        reached.append(float(state["x"]))
    return np.array(reached)
