"""A world model whose dynamics are known: z becomes z + 1, the reward is a function of the action, chance only wanders.

All its numbers are small integers or dyadic fractions, so that batches of any size compute them exactly.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from learned_sim_env.spec import NUM_CLASSES, SCENARIO_TAGS, Contract

HEIGHT = WIDTH = 64
# Actions whose consequences are certain: steer, throttle_brake.
CRASH, ARRIVE, SURPRISE, IDLE = (np.array(a, np.float32) for a in ((1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)))
# What `uncertainty` says of SURPRISE; of all else it says 0.25.
SURPRISING = 8.0


class ToyModel:
    """State: z (B,) counts steps, wander (B,) adds up chance, action (B, 2) is the last, ink (B,) counts drawings."""

    latent_size = 5
    noise_size = 2
    static_graph = False
    observes, draws, context_steps = ("bev", "ego"), ("bev",), 5

    def __init__(self, risk: float = 0.0, contract: Contract | None = None, device: str = "cpu"):
        """`risk`: probability of leaving the road in a step."""
        self.contract = contract or Contract()
        self.risk, self.device = risk, device
        self.drawn = 0

    def initial(self, batch_size: int):
        return {
            "z": torch.zeros(1, device=self.device).expand(batch_size),
            "wander": torch.zeros(batch_size, dtype=torch.int64, device=self.device),
            "action": torch.zeros(batch_size, 2, device=self.device),
            "ink": torch.zeros(batch_size, dtype=torch.uint8, device=self.device),
        }

    def observe(self, state, action, observation):
        """z is read off the picture's corner, so the last observation decides; wander counts observations."""
        return {
            "z": observation["bev"][:, 0, 0].float(),
            "wander": state["wander"] + 1,
            "action": action,
            "ink": torch.zeros_like(state["ink"]),
        }

    def imagine(self, state, action, noise, temperature=1.0):
        jump = 0 if noise is None else (noise[:, 0] * 1000).long()
        return {**state, "z": state["z"] + 1, "wander": state["wander"] + jump, "action": action}

    def features(self, state):
        columns = [state["z"], state["wander"].float(), *state["action"].T, state["z"] * 0 + 1]
        return torch.stack(columns, 1)

    def decode(self, state):
        z, (steer, throttle) = state["z"], state["action"].T
        zero = torch.zeros_like(z)
        certain = [(steer == 1) & (throttle == -1), zero > 0, (steer == 1) & (throttle == 1), throttle == -0.5]
        events = torch.stack(certain, 1).float()
        events[:, 1] = self.risk
        return {
            "ego": torch.stack([z, -10 * z, steer, throttle, zero, zero], 1),
            "motion": torch.stack([z, zero, zero], 1),
            "terms": torch.stack([throttle, -steer.abs(), zero, z / 16], 1),
            "events": events,
            "uncertainty": torch.where((state["action"] == -1).all(1), SURPRISING, 0.25),
            "features": self.features(state),
        }

    def draw(self, state, names):
        self.drawn += 1
        ids = (state["z"].long() + state["wander"]) % NUM_CLASSES
        view = ids.to(torch.uint8)[:, None, None].repeat(1, HEIGHT, WIDTH)
        return {"bev": view}, {**state, "ink": state["ink"] + 1}


class NeuralToy(ToyModel):
    """Beside that, a recurrent state h (B, 32) of floats that depends on everything, as a network's does."""

    latent_size = 32

    def __init__(self, **settings):
        super().__init__(**settings)
        generator = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(32, 32, generator=generator).to(self.device) / 4
        self.input = torch.randn(4, 32, generator=generator).to(self.device)

    def initial(self, batch_size):
        return {**super().initial(batch_size), "h": torch.zeros(batch_size, 32, device=self.device)}

    def observe(self, state, action, observation):
        return {**super().observe(state, action, observation), "h": self._next(state, action, None)}

    def imagine(self, state, action, noise, temperature=1.0):
        return {**super().imagine(state, action, noise), "h": self._next(state, action, noise)}

    def features(self, state):
        return state["h"]

    def _next(self, state, action, noise):
        noise = torch.zeros_like(action) if noise is None else noise
        return torch.tanh(state["h"] @ self.matrix + torch.cat([action, noise], 1) @ self.input)


class ToyContexts:
    """N contexts: context i ends in a picture of class i % 9 after five steps; even ones are tagged "curve"."""

    def __init__(self, n: int = 40):
        t = np.arange(5)
        classes = (np.arange(n) % NUM_CLASSES).astype(np.uint8)
        view = np.broadcast_to(classes[:, None, None, None], (n, 5, HEIGHT, WIDTH)).copy()
        self.ego = np.zeros((n, 5, 6), np.float32) + t[:, None].astype(np.float32)
        self.observations = {"bev": view, "ego": self.ego}
        self.actions = np.zeros((n, 5, 2), np.float32)
        self.tags = np.zeros((n, len(SCENARIO_TAGS)), bool)
        self.tags[::2, SCENARIO_TAGS.index("curve")] = True

    def __len__(self):
        return len(self.ego)

    def indices(self, tag):
        from learned_sim_env.world_model.contexts import Contexts

        return Contexts.indices(self, tag)


def toy_checkpoint(model: ToyModel | None = None, fingerprint: str = "toy", contexts: int = 40):
    """A checkpoint around a toy model."""
    model = model or ToyModel()
    return SimpleNamespace(
        name=fingerprint,
        model=model,
        contexts=ToyContexts(contexts),
        fingerprint=fingerprint,
        contract=model.contract,
        uncertainty_bound=1.0,
    )
