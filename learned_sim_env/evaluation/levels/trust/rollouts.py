"""Uncertainty and errors of a model's open-loop futures, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.open_loop import after_context, join, window_reader
from learned_sim_env.evaluation.windows import Windows, regular_windows
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import SemanticClass
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import WorldModel, device_of

# Steps between those at which views are drawn and compared.
DRAW_EVERY = 5
# [steps] How much earlier an early warning is.
EARLIER = 10
# What the model says; the rest needs no model's uncertainty.
SCORES = ("uncertainty", "its maximum so far", "its mean so far", f"{EARLIER} steps earlier")
BASELINES = ("time since the context", "imagined speed")


@dataclass(frozen=True)
class TrustConfig:
    """horizon: steps after the context. stride: steps between windows of an episode. samples: futures drawn of each
    window, 0 for the mode alone. batch_size: windows at a time. replicates, seed: of the bootstrap.
    """

    horizon: int = 30
    stride: int = 10
    samples: int = 1
    batch_size: int = 32
    replicates: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, horizon=DRAW_EVERY, stride=1, samples=0, batch_size=1, replicates=1)


@dataclass(frozen=True, eq=False)
class UncertainFutures:
    """N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. valid: (N, T) bool. uncertainty: (N, T) float32. speed: (N, T) float32 [m/s],
    as imagined. position: (N, T) float32 [m], how far the imagined ego is from the true one. wrong: (N, T) float32,
    share of the pixels of the view from above that are of another class than the true ones, but for those that truly
    are the ego; NaN at steps that were not drawn; None where the model draws none.
    """

    episode: np.ndarray
    valid: np.ndarray
    uncertainty: np.ndarray
    speed: np.ndarray
    position: np.ndarray
    wrong: np.ndarray | None


def uncertain_futures(model: WorldModel, data: PackedData, config: TrustConfig) -> UncertainFutures:
    """The futures of all regular windows of `data` under the recorded actions; past the end of an episode, the last
    action is held, and nothing counts.

    Raises:
        ValueError: if no episode is long enough.
    """
    windows = regular_windows(data, config.stride, model.context_steps)
    if not len(windows):
        raise ValueError(f"none of the {len(data)} episodes is long enough to be evaluated")
    windows = windows.repeat(max(config.samples, 1))
    reader = window_reader([model], data, config.horizon)
    parts = []
    with tqdm(total=len(windows), desc="uncertainty", unit="window") as bar:
        for first in range(0, len(windows), config.batch_size):
            some = windows[first : first + config.batch_size]
            seeds = torch.arange(first, first + len(some)) if config.samples else None
            parts.append(_imagine(model, some, reader.read(some), seeds))
            bar.update(len(some))
    return join(parts)


def scores_of(futures: UncertainFutures) -> dict[str, np.ndarray]:
    """(N, T) by name, of `SCORES` and `BASELINES`; NaN where a score is not defined."""
    u = futures.uncertainty.astype(np.float64)
    count = np.arange(1.0, u.shape[1] + 1)
    earlier = np.full_like(u, np.nan)
    earlier[:, EARLIER:] = u[:, :-EARLIER]
    values = (
        u,
        np.maximum.accumulate(u, 1),
        u.cumsum(1) / count,
        earlier,
        np.broadcast_to(count, u.shape),
        futures.speed,
    )
    return dict(zip((*SCORES, *BASELINES), values))


@torch.inference_mode()
def _imagine(model: WorldModel, windows: Windows, batch: Batch, seeds: torch.Tensor | None) -> UncertainFutures:
    """`seeds` (B,) int64 of the noise; None takes the mode."""
    device = device_of(model)
    context, valid = batch.context, batch.imaginable[:, batch.context :].numpy()
    batch = batch.to(device)
    state = after_context(model, batch)
    names = ("bev",) if "bev" in model.draws and "bev" in batch.observations else ()
    if names:
        _, state = model.draw(state, names)
    uncertainty, motion, speed = [], [], []
    wrong = np.full(valid.shape, np.nan, np.float32)
    for t in range(valid.shape[1]):
        noise = None
        if seeds is not None:
            noise = uniforms(seeds, torch.full_like(seeds, t), model.noise_size).to(device)
        state = model.imagine(state, batch.actions[:, context + t], noise)
        heads = model.decode(state)
        uncertainty.append(heads["uncertainty"])
        motion.append(heads["motion"])
        speed.append(heads["ego"][:, 0])
        if names and (t + 1) % DRAW_EVERY == 0:
            drawn, state = model.draw(state, names)
            view, truth = drawn["bev"], batch.observations["bev"][:, context + t]
            counts = truth != int(SemanticClass.EGO)
            wrong[:, t] = (((view != truth) & counts).sum((1, 2)) / counts.sum((1, 2))).cpu().numpy()
    pose = integrate(torch.stack(motion, 1))
    return UncertainFutures(
        episode=windows.episode,
        valid=valid,
        uncertainty=torch.stack(uncertainty, 1).float().cpu().numpy(),
        speed=torch.stack(speed, 1).float().cpu().numpy(),
        position=(pose - batch.pose[:, context:])[..., :2].norm(dim=-1).cpu().numpy(),
        wrong=wrong if names else None,
    )
