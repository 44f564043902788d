"""A small drawn world in which every future is known exactly: the ego moves one pixel a step, and so do others.

Recorded episodes differ in where they lie and how they end. `Oracle` is a model that knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.episode import AGENT_SLOTS, MOMENTS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.rendering.boxes import paint_boxes, paint_ego
from learned_sim_env.scene import relative_motion, to_frame
from learned_sim_env.spec import CONTRACTS, SCENARIO_TAGS, SemanticClass
from learned_sim_env.task import EVENTS, outcome

CONTRACT = CONTRACTS["driving"]
BEV = CONTRACT.bev
PIXEL = BEV.metres_per_pixel
# Speed at which the ego moves by one pixel a step.
SPEED = PIXEL / CONTRACT.dt
FIRST_SEED = 1_000_000
# [m] Covers seven by three pixels, no boundary on a pixel's centre, where rounding would decide.
CAR = (4.8, 2.1)


def ground(points: np.ndarray) -> np.ndarray:
    """Classes (...,) uint8 at points (..., 2): a road along x with its lines, and a crossing every 30 m."""
    x, y = np.round(points / PIXEL, 3).transpose(-1, *range(points.ndim - 1))
    ids = np.where(abs(y) < 5.4, SemanticClass.ROAD, SemanticClass.OFF_ROAD)
    ids = np.where((abs(y) < 5.4) & (y < 0), SemanticClass.ROUTE, ids)
    ids = np.where(x % 40 < 7, SemanticClass.ROAD, ids)
    ids = np.where((y == 0) & (x % 12 < 4), SemanticClass.BROKEN_LINE, ids)
    return np.where(abs(y) == 5, SemanticClass.SOLID_LINE, ids).astype(np.uint8)


def episode(
    seed: int, steps: int, end: str = "time_limit", frame: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Episode:
    """The ego drives along x from the origin of `frame`; another car is ahead of it, two pixels a step fast."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps + 1)
    local = np.stack([t * PIXEL, 0 * t, 0 * t], -1)
    other = np.stack([9.0 + 2 * t * PIXEL, -3.0 + 0 * t, 0 * t], -1)
    map_layer = ground(BEV.pixel_centres() + local[:, None, None, :2])
    semantic = map_layer.copy()
    sizes, vehicle = np.full((steps + 1, 2), CAR), np.full(steps + 1, SemanticClass.VEHICLE, np.uint8)
    paint_boxes(semantic, t, other - local, sizes, vehicle, BEV)
    paint_ego(semantic, 4.515, 1.852, BEV)
    events = np.zeros((steps + 1, len(EVENTS)), bool)
    if end in EVENTS:
        events[-1, EVENTS.index(end)] = True
    terms = rng.uniform(-1, 1, (steps + 1, 4)).astype(np.float32)
    terms[0] = 0
    result = outcome(terms, events, CONTRACT.reward)
    ego = np.zeros((steps + 1, 6), np.float32)
    ego[:, 0], ego[:, 4] = SPEED, seed % 32 + t / 1024
    ego[1:, 2:4] = rng.uniform(-1, 1, (steps, 2))
    ended = np.zeros(steps, bool)
    ended[-1] = True
    arrays = {name: np.zeros((steps + 1, *shape), dtype) for name, (shape, dtype) in MOMENTS.items()}
    arrays["agent_ids"][:] = -1
    arrays["agent_ids"][:, 0] = 7
    arrays["agent_classes"][:, 0], arrays["agent_sizes"][:, 0] = SemanticClass.VEHICLE, CAR
    arrays["agent_poses"][:, 0] = place(other, frame)
    arrays["agent_velocities"][:, 0] = 2 * SPEED * np.array([np.cos(frame[2]), np.sin(frame[2])])
    arrays.update(semantic=semantic, map=map_layer, ego=ego, ego_pose=place(local, frame), events=events)
    arrays.update(reward_terms=result.reward_terms, cost_terms=result.cost_terms)
    arrays["tags"] = np.zeros((steps + 1, len(SCENARIO_TAGS)), bool)
    assert arrays["agent_ids"].shape == (steps + 1, AGENT_SLOTS)
    return Episode(
        seed=seed,
        simulator="drawn",
        behaviour="straight",
        end_reason=end,
        actions=ego[1:, 2:4],
        rewards=result.reward[1:],
        terminations=ended & (end in EVENTS),
        truncations=ended & (end not in EVENTS),
        **arrays,
    )


def place(poses: np.ndarray, frame: tuple[float, float, float]) -> np.ndarray:
    """Poses (..., 3) given in `frame`, in the world."""
    x, y, heading = frame
    # The frame of the world, seen from `frame`, turns them back.
    back = np.array([*to_frame(np.zeros(2), np.array(frame)), -heading])
    return np.concatenate([to_frame(poses[..., :2], back), poses[..., 2:] + heading], -1)


def episodes() -> list[Episode]:
    """Six of them, of all ends, anywhere in the world."""
    settings = [
        (70, "time_limit", (0.0, 0.0, 0.0)),
        (47, "collision", (100.0, -40.0, 0.5)),
        (52, "off_road", (-30.0, 80.0, -2.0)),
        (61, "arrival", (5.0, 5.0, 3.0)),
        (8, "collision", (0.0, 0.0, 1.0)),
        (3, "off_road", (0.0, 0.0, 0.0)),
    ]
    return [episode(FIRST_SEED + i, *setting) for i, setting in enumerate(settings)]


def packed(recorded: Sequence[Episode]) -> PackedData:
    """As `data.dataset.pack` and `PackedData.load` would have it."""

    def rows(name: str) -> np.ndarray:
        shape, dtype = SCHEMA[name]
        first = [np.zeros((1, *shape), dtype)] if name in TRANSITIONS else []
        return np.concatenate([part for e in recorded for part in (*first, getattr(e, name))])

    lengths = np.array([len(e) + 1 for e in recorded])
    about = {
        "seeds": "seed",
        "simulators": "simulator",
        "behaviours": "behaviour",
        "end_reasons": "end_reason",
    }
    return PackedData(
        arrays={name: rows(name) for name in SCHEMA},
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        contract_fingerprint=str(CONTRACT.fingerprints()),
        **{name: np.array([getattr(e, field) for e in recorded]) for name, field in about.items()},
    )


class Oracle:
    """Knows the recorded future. `stretch` makes it move too far, `delay` makes its heads late by so many steps."""

    latent_size = noise_size = 1
    contract = CONTRACT
    observes, draws, context_steps = ("bev", "ego"), ("bev",), 5

    def __init__(self, data: PackedData, stretch: float = 1.0, delay: int = 0):
        self.arrays, self.stretch, self.delay = data.arrays, stretch, delay
        self.ends = (data.starts + data.lengths).repeat(data.lengths) - 1
        pose, before = data.arrays["ego_pose"], np.roll(data.arrays["ego_pose"], 1, 0)
        self.motion = np.array([relative_motion(a, b) for a, b in zip(before, pose)])

    def initial(self, batch_size):
        return {"row": torch.zeros(batch_size, dtype=torch.int64)}

    def observe(self, state, action, observation):
        """The row whose ego vector this is."""
        same = (observation["ego"].numpy()[:, None] == self.arrays["ego"]).all(-1)
        assert (same.sum(1) == 1).all()
        return {"row": torch.from_numpy(same.argmax(1))}

    def imagine(self, state, action, noise, temperature=1.0):
        row = state["row"].numpy()
        after = np.minimum(row + 1, self.ends[row])
        np.testing.assert_array_equal(action.numpy(), self.arrays["actions"][after])
        return {"row": torch.from_numpy(after)}

    def decode(self, state):
        row = state["row"].numpy()
        late = np.maximum(row - self.delay, 0)
        motion = self.motion[row] * np.array([self.stretch, 1, 1])
        values = (self.arrays["ego"][row], motion, self.arrays["reward_terms"][late, :4], self.arrays["events"][late])
        return {k: torch.from_numpy(v.astype(np.float32)) for k, v in zip(("ego", "motion", "terms", "events"), values)}

    def draw(self, state, names):
        return {"bev": torch.from_numpy(self.arrays["semantic"][state["row"].numpy()])}, state


def checkpoint(model, name: str = "oracle") -> SimpleNamespace:
    """A checkpoint around a model."""
    return SimpleNamespace(name=name, model=model, contract=CONTRACT, fingerprint="0" * 64)
