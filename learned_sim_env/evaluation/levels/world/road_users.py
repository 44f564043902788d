"""How road users go on in several futures of the same moments, beside what they truly did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.windows import WindowReader, regular_windows
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.measures.histogram_likelihood import features, log_likelihood, scores
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import EGO_SIZE
from learned_sim_env.training.batches import Batch
from learned_sim_env.training.pictures import after_context
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.protocol import State, WorldModel, device_of

# What a state has of road users, as `protocol.ScenePainter` describes them.
PARTS = ("pose", "agent_pose", "agent_size", "agent_class")
# [m] A road user of the state is the true one that is nearer than this.
SAME = 1.5
MODEL, STEADY = "model", "constant velocity"


@dataclass(frozen=True)
class RoadUsersConfig:
    """windows: moments. futures: of each. horizon: steps. stride: steps between the moments of an episode. batch_size:
    moments at a time. seed: of chance.
    """

    windows: int = 128
    futures: int = 32
    horizon: int = 50
    stride: int = 40
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, windows=1, futures=1, horizon=2, stride=1, batch_size=1)


class Users(NamedTuple):
    """Of N road users: the number of their moment (N,), what they did, features (N, T, 5), and by method what they do
    in S futures, (N, S, T, 5).
    """

    moment: np.ndarray
    happened: np.ndarray
    futures: dict[str, np.ndarray]


def has_road_users(model: WorldModel) -> bool:
    """Whether a model's state says where road users are."""
    return set(PARTS) <= set(model.initial(1))


def realism(model: WorldModel, data: PackedData, config: RoadUsersConfig) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """By method, `histogram_likelihood.scores` (W, 7) of moments, and their episodes (W,) int64.

    Raises:
        ValueError: if no episode is long enough.
    """
    windows = regular_windows(data, config.stride, model.context_steps)
    if not len(windows):
        raise ValueError(f"none of the {len(data)} episodes is long enough to be evaluated")
    windows = windows[np.unique(np.linspace(0, len(windows) - 1, config.windows).astype(np.int64))]
    reader = WindowReader(data, config.horizon, model.contract.dt, model.observes, model.context_steps)
    likelihoods: dict[str, list[np.ndarray]] = {MODEL: [], STEADY: []}
    moments = []
    for start in range(0, len(windows), config.batch_size):
        users = go_on(model, reader.read(windows[start : start + config.batch_size]), config, start)
        moments.append(start + users.moment)
        for name, futures in users.futures.items():
            likelihoods[name].append(log_likelihood(futures, users.happened))
    moment = np.concatenate(moments)
    found = {name: scores(np.concatenate(parts), moment, len(windows)) for name, parts in likelihoods.items()}
    return found, windows.episode


@torch.inference_mode()
def go_on(model: WorldModel, batch: Batch, config: RoadUsersConfig, first: int) -> Users:
    """The road users of moments that the state knows; first: number of the first moment, for chance."""
    c, dt, times, device = batch.context, model.contract.dt, config.futures, device_of(model)
    on_device = batch.to(device)
    state = after_context(model, on_device)
    row, slot, true = _matched(state, batch)
    some = {name: value.repeat_interleave(times, 0) for name, value in state.items()}
    actions = on_device.actions.repeat_interleave(times, 0)
    seeds = torch.arange(len(actions), device=device) + first * times + config.seed * 1_000_003
    places, gaps, there = list[Tensor](), list[Tensor](), list[Tensor]()
    for t in range(batch.actions.shape[1] - c + 1):
        if t:
            noise = uniforms(seeds, torch.full_like(seeds, t), model.noise_size).to(device)
            some = model.imagine(some, actions[:, c + t - 1], noise)
        pose = compose(some["pose"][:, None], some["agent_pose"])
        known = some["agent_class"] > 0
        gap = nearest_gap(pose, some["agent_size"], known, some["pose"])
        for kept, value in ((places, pose), (gaps, gap), (there, known)):
            kept.append(value.unflatten(0, (-1, times))[row, :, slot])
    imagined = torch.stack(places, 2).cpu().double().numpy()
    # What was out of reach once is forgotten: another one may stand in its place later.
    lasting = torch.stack(there, 2).long().cumprod(2).bool().cpu().numpy()
    imagined_gap = torch.stack(gaps, 2).cpu().numpy()
    real, real_gap, seen = _recorded(batch, row.cpu(), true)
    happened = _masked(features(real, real_gap, dt), seen)
    # As it was, it goes on.
    speed = batch.agent_motion[row.cpu(), c - 1, true, 0].numpy()[:, None] * dt * np.arange(real.shape[1])
    steady = np.repeat(real[:, :1], real.shape[1], 1)
    steady[..., 0] += speed * np.cos(steady[..., 2])
    steady[..., 1] += speed * np.sin(steady[..., 2])
    # Past others and the ego as they truly go.
    steady_gap = _recorded(batch, row.cpu(), true, steady)[1]
    moved = np.repeat(features(steady, steady_gap, dt)[:, None], times, 1)
    return Users(
        row.cpu().numpy(),
        happened,
        {MODEL: _masked(features(imagined, imagined_gap[..., 1:], dt), lasting), STEADY: moved},
    )


def _matched(state: State, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, slots of the state and numbers of the recorded road users (N,) each, at the end of contexts."""
    now = batch.context - 1
    there = state["agent_class"].cpu() > 0
    recorded = (batch.agent_ids[:, now] >= 0) & batch.known["agents"][:, now, None]
    mine = compose(state["pose"][:, None], state["agent_pose"])[..., :2].cpu()
    far = (mine[:, :, None] - batch.agent_pose[:, now, None, :, :2]).norm(dim=-1)
    far = far.masked_fill(~(there[:, :, None] & recorded[:, None]), torch.inf)
    nearest, which = far.min(-1)
    # Of several that are near the same one, the nearest.
    mutual = far.argmin(1).gather(1, which) == torch.arange(far.shape[1])
    row, slot = ((nearest < SAME) & mutual).nonzero(as_tuple=True)
    return row, slot, which[row, slot]


def _recorded(
    batch: Batch, row: Tensor, true: Tensor, instead: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What N recorded road users did from the end of the context on: poses (N, T + 1, 3), gaps to the nearest (N, T),
    and where that is known (N, T + 1) bool; if they went as in `instead` (N, T + 1, 3), gaps are of that.
    """
    now = batch.context - 1
    ids = batch.agent_ids[row, now, true]
    same = batch.agent_ids[row, now:] == ids[:, None, None]
    known = same.any(-1) & (batch.valid & batch.known["agents"])[row, now:]
    which = same.long().argmax(-1)
    n = torch.arange(len(row))[:, None]
    time = torch.arange(now, batch.agent_ids.shape[1])
    pose = batch.agent_pose[row[:, None], time, which]
    size = batch.agent_size[row[:, None], time, which]
    mine = pose if instead is None else torch.from_numpy(instead).to(pose.dtype)
    others = (batch.agent_ids[row, now:] >= 0) & ~same
    gaps = []
    for t in range(1, len(time)):
        boxes = torch.cat([mine[:, t, None], batch.agent_pose[row, now + t]], 1)
        sizes = torch.cat([size[:, t, None], batch.agent_size[row, now + t]], 1)
        there = torch.cat([torch.ones(len(n), 1, dtype=torch.bool), others[:, t]], 1)
        gaps.append(nearest_gap(boxes, sizes, there, batch.pose[row, now + t])[:, 0])
    return pose.double().numpy(), torch.stack(gaps, 1).numpy(), known.long().cumprod(1).bool().numpy()


def nearest_gap(pose: Tensor, size: Tensor, there: Tensor, ego: Tensor) -> Tensor:
    """(B, K) float32 [m]: from each road user's box to the nearest other one or the ego's, below 0 where they overlap;
    off a corner it is less than the distance, as by the separating-axis test.

    pose: (B, K, 3), size: (B, K, 2), there: (B, K) bool. ego: (B, 3).
    """
    pose = torch.cat([pose, ego[:, None]], 1)
    size = torch.cat([size, size.new_tensor(EGO_SIZE).expand(len(size), 1, 2)], 1)
    there = torch.cat([there, torch.ones_like(there[:, :1])], 1)
    # Every box (the second) in the frame of every other (the first), along its axes; and the other way round.
    seen = relative(pose[:, None], pose[:, :, None])
    c, s = seen[..., 2].cos().abs(), seen[..., 2].sin().abs()
    length, width = size.unbind(-1)
    reach = torch.stack([c * length[:, None] + s * width[:, None], s * length[:, None] + c * width[:, None]], -1) / 2
    gap = (seen[..., :2].abs() - reach - size[:, :, None] / 2).amax(-1)
    gap = torch.maximum(gap, gap.transpose(1, 2))
    alone = torch.eye(gap.shape[1], dtype=torch.bool, device=gap.device)
    return gap.masked_fill(alone | ~there[:, None], torch.inf).amin(-1)[:, :-1]


def _masked(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Features (..., T, 5) without those that need a moment (..., T + 1) that is not known."""
    return np.where((known[..., 1:] & known[..., :-1])[..., None], values, np.nan)
