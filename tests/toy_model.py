"""A world model whose dynamics are known: z becomes z + 1, the reward is a function of the action, chance only wanders.

All its numbers are small integers or dyadic fractions, so that batches of any size compute them exactly.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from learned_sim_env.spec import CONTRACTS, NUM_CLASSES, SCENARIO_TAGS, Contract

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


class ToyCameraModel:
    """Sees and draws three cameras; what it remembers is the front camera's corner, as a history of steps.

    State: past (B, 3, 4) the corners of the last moments, brightness (B,) of all cameras, count (B,) int64 of steps.
    """

    latent_size = 6
    noise_size = 1
    static_graph = False
    observes, draws, context_steps = ("front", "left", "right", "ego"), ("front", "left", "right"), 2

    def __init__(self):
        self.contract, self.drawn = CONTRACTS["driving-camera"], []

    def initial(self, batch_size):
        return {
            "past": torch.zeros(batch_size, 3, 4),
            "brightness": torch.zeros(batch_size),
            "count": torch.zeros(batch_size, dtype=torch.int64),
        }

    def observe(self, state, action, observation):
        """Each camera's mean colour is a quarter of its brightness."""
        corner = torch.stack([observation[name][:, 0, 0, 0].float() for name in self.draws], 1)
        now = torch.cat([corner, action[:, :1]], 1)
        past = torch.cat([state["past"][:, 1:], now[:, None]], 1)
        return {"past": past, "brightness": corner.mean(1), "count": state["count"] * 0}

    def imagine(self, state, action, noise, temperature=1.0):
        chance = 0 if noise is None else (noise[:, 0] * 8).floor()
        now = torch.cat([state["past"][:, -1, :3] + 1, action[:, :1]], 1)
        past = torch.cat([state["past"][:, 1:], now[:, None]], 1)
        return {"past": past, "brightness": state["brightness"] + 1 + chance, "count": state["count"] + 1}

    def in_bfloat16(self):
        return self

    def features(self, state):
        return torch.cat([state["past"][:, -1], state["brightness"][:, None], state["count"].float()[:, None]], 1)

    def decode(self, state):
        steer = state["past"][:, -1, 3]
        zero = torch.zeros_like(steer)
        speed = 5 + zero
        return {
            "ego": torch.stack([speed, zero, steer, zero, zero, zero], 1),
            "motion": torch.stack([speed / 10, zero, -0.01 * steer], 1),
            "terms": torch.stack([zero + 0.25, -steer.abs(), zero, zero], 1),
            "events": torch.stack([(steer == 1).float(), zero, zero, zero], 1),
            "uncertainty": 0.25 + zero,
            "features": self.features(state),
        }

    def draw(self, state, names):
        self.drawn.append(tuple(names))
        pictures = {}
        for i, name in enumerate(self.draws):
            if name in names:
                value = (state["brightness"] + 10 * i).remainder(256).to(torch.uint8)
                pictures[name] = value[:, None, None, None].repeat(1, *self.contract.modality(name).shape)
        return pictures, state


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


def toy_camera_checkpoint(contexts: int = 6):
    """A checkpoint around a toy model of cameras; context i is of brightness 20 + i, with a moment more than needed."""
    from learned_sim_env.world_model.contexts import Contexts

    model = ToyCameraModel()
    steps = model.context_steps + 1
    bright = (20 + np.arange(contexts)).astype(np.uint8)[:, None, None, None, None]
    seen = {n: np.broadcast_to(bright, (contexts, steps, 64, 96, 3)).copy() for n in model.draws}
    seen["ego"] = np.zeros((contexts, steps, 6), np.float32)
    tags = np.zeros((contexts, len(SCENARIO_TAGS)), bool)
    tags[::2, SCENARIO_TAGS.index("curve")] = True
    still = np.zeros((contexts, steps, 2), np.float32)
    replay = np.zeros((contexts * 3, 2), np.float32)
    return SimpleNamespace(
        name="toy-camera",
        model=model,
        contexts=Contexts(seen, still, tags, np.arange(contexts), replay, np.arange(contexts + 1) * 3),
        fingerprint="toy-camera",
        contract=model.contract,
        uncertainty_bound=1.0,
        training={},
    )
