"""Drives through an imagined world that come back to where they were, looked at all the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from learned_sim_env.evaluation.baselines import warp
from learned_sim_env.evaluation.levels.return_trip import NEEDS
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.spec import NUM_STATIC_CLASSES, BevSpec, Contract, SemanticClass
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.protocol import State, device_of

# From ego vectors (n, 6) to actions (n, 2) float32.
EgoDriver = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Trip:
    """What n rows saw in T steps, the start first; tensors on the CPU but for the state.

    views: (n, T + 1, H, W) uint8 class ids. seen: (n, T + 1, H, W) bool, whether what lies under a pixel was really
    observed before the start, rather than imagined. pose: (n, T + 1, 3) float32, in the frame of the ego at the start.
    state: of all rows at the end.
    """

    views: Tensor
    seen: Tensor
    pose: Tensor
    state: State


@dataclass(frozen=True, eq=False)
class Pairs:
    """What n rows saw of the same ground twice.

    first, later: (n, H, W) uint8 class ids, as seen from the same place. counted: (n, H, W) bool, pixels that may be
    compared where both show the ground.
    """

    first: Tensor
    later: Tensor
    counted: Tensor

    @property
    def compared(self) -> Tensor:
        """(n, H, W) bool: counted, and nothing that moves is there in either view."""
        return self.counted & (self.first < NUM_STATIC_CLASSES) & (self.later < NUM_STATIC_CLASSES)

    def only(self, where: Tensor) -> Pairs:
        """Of pixels `where` (n, H, W) bool."""
        return Pairs(self.first, self.later, self.counted & where)

    @staticmethod
    def of(first: Tensor, later: Tensor) -> Pairs:
        """All pixels count."""
        return Pairs(first, later, torch.ones_like(first, dtype=torch.bool))


def drive(checkpoint: Checkpoint, contexts: np.ndarray, driver: EgoDriver, steps: int, seed: int) -> Trip:
    """Imagine `steps` steps from `contexts` (n,) int64, sampled at temperature 1, and draw each of them.

    Raises:
        ValueError: if the model lacks something of `NEEDS`, or gives what is not finite.
    """
    model = checkpoint.model
    if (reason := NEEDS.lacking(model)) is not None:
        raise ValueError(f"a return trip cannot be made: {reason}")
    inference = Inference(device_of(model))
    start = Starts(model, checkpoint.contexts, inference, names=("bev",)).from_contexts(contexts)
    with inference():
        state = start.state
        seeds = torch.arange(len(contexts), device=inference.device) + seed * len(contexts)
        ego = start.ego
        # Drawn already, so that drawing again only looks.
        drawn, state = model.draw(state, ("bev",))
        view = drawn["bev"]
        here = torch.zeros(len(contexts), 3, device=inference.device)
        views, seen, pose = [view], [model.seen_places(state)], [here]
        for t in tqdm(range(steps), desc="driving", unit="step"):
            noise = uniforms(seeds, torch.full_like(seeds, t), model.noise_size)
            state = model.imagine(state, torch.from_numpy(driver(ego)).to(inference.device), noise)
            heads = model.decode(state)
            ego, here = heads["ego"].cpu().numpy(), compose(here, heads["motion"])
            if not (np.isfinite(ego).all() and torch.isfinite(here).all()):
                raise ValueError(f"the model's 'ego' is not finite {t + 1} steps after the context")
            drawn, state = model.draw(state, ("bev",))
            view = drawn["bev"]
            views.append(view)
            seen.append(model.seen_places(state))
            pose.append(here)
        return Trip(torch.stack(views, 1).cpu(), torch.stack(seen, 1).cpu(), torch.stack(pose, 1).cpu(), state)


@torch.inference_mode()
def placed_back(model: Any, trip: Trip, moments: list[int]) -> list[Pairs]:
    """The views at `moments` of a trip, and those drawn when its ego is put back there, one after the other."""
    state, pairs = trip.state, []
    for moment in moments:
        pose = trip.pose[:, moment].to(next(iter(state.values())).device)
        drawn, state = model.draw(model.at(state, pose), ("bev",))
        later = drawn["bev"]
        pairs.append(Pairs.of(trip.views[:, moment], later.cpu()))
    return pairs


def came_round(trip: Trip, apart: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two moments at which a row is nearest in place and heading after more than half a turn between them.

    Returns:
        The m rows that came within `apart` [m], [rad] of where they had been, and the earlier and the later moment:
        (m,) int64 each.
    """
    heading = np.unwrap(trip.pose[..., 2].numpy(), axis=1)
    between = relative(trip.pose[:, :, None], trip.pose[:, None])
    distance, turn = between[..., :2].norm(dim=-1).numpy(), between[..., 2].abs().numpy()
    fits = (np.abs(heading[:, None] - heading[:, :, None]) > np.pi) & (distance < apart[0]) & (turn < apart[1])
    fits &= np.triu(np.ones(fits.shape[1:], bool))
    # In parts of what is allowed, metres and radians compare.
    badness = np.where(fits, distance / apart[0] + turn / apart[1], np.inf).reshape(len(fits), -1)
    rows = np.flatnonzero(fits.any((1, 2)))
    first, later = np.unravel_index(badness[rows].argmin(1), fits.shape[1:])
    return rows, first, later


def looked_twice(views: Tensor, first: Tensor, later: Tensor, bev: BevSpec) -> Pairs:
    """Views (n, H, W) as seen from poses `first` and `later` (n, 3), the one from `first` moved on to `later`.

    What becomes of a lasting picture if it is looked at by its nearest pixels: less than equal only for the pixels.
    """
    return Pairs.of(moved(moved(views, first, bev), relative(later, first), bev), moved(views, later, bev))


def moved(views: Tensor, pose: Tensor, bev: BevSpec) -> Tensor:
    """Views (n, H, W) uint8 as seen from `pose` (n, 3) in their frames, by their nearest pixels.

    What they do not hold is marked as the ego's, which no comparison counts.
    """
    held = warp(torch.ones_like(views), pose[:, None], bev)[:, 0] > 0
    return torch.where(held, warp(views, pose[:, None], bev)[:, 0], int(SemanticClass.EGO)).to(torch.uint8)


def circle(speed: float, contract: Contract) -> EgoDriver:
    """Turns as tightly as the car can, every other row to the left, at a steady `speed` [m/s]."""

    def driver(ego: np.ndarray) -> np.ndarray:
        steer = np.where(np.arange(len(ego)) % 2, 1.0, -1.0)
        throttle = 3 * contract.dt * (speed - ego[:, 0])
        return np.clip(np.stack([steer, throttle], 1), -1, 1).astype(np.float32)

    return driver
