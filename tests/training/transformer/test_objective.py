"""Clips, the objective's two stages, and the heads that learn from dreams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.spec import Fingerprints
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.processes import Process
from learned_sim_env.training.transformer.clips import LABELS, Clips, labelled_episodes, partly_labelled
from learned_sim_env.training.transformer.dream_heads import dreamt, fit_heads
from learned_sim_env.training.transformer.objective import TransformerObjective
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.training.transformer.shortcut_loss import ForcingConfig
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from tests.data.recordings import CONTRACT, recording

CONFIG = TrainConfig("transformer-tiny", steps=8, batch_size=6, horizon=7, bf16=False)
SETTINGS = TransformerSettings(
    modalities=("bev",),
    tokenizer_steps=3,
    tokenizer_batch=2,
    short=4,
    long_every=2,
    path_steps=20,
    path_batch=8,
    head_batches=1,
    head_batch=4,
    head_horizon=3,
    head_steps=5,
    forcing=ForcingConfig(context=0.5, coarse=0.5),
)


def objective(data: PackedData, process: Process = Process(), **settings: object) -> TransformerObjective:
    return TransformerObjective(CONFIG, replace(SETTINGS, **settings), data, process, torch.device("cpu"))


def sampled(data: PackedData, size: int, moments: int, step: int = 0) -> Clips:
    return Clips.of(WindowSampler(data, 1, moments - 1, 0.1).sample(size, 0, step), ("bev",))


def test_what_no_step_led_to_is_not_judged(packed: PackedData) -> None:
    clips = sampled(packed, 200, 6)
    # In the drawn world the ego vector repeats the action.
    first = (clips.ego[..., 2:4] == 0).all(-1)
    assert first.any() and (clips.motion[first] == 0).all()
    for name in ("actions", "reward", "events"):
        assert torch.equal(clips.known[name], clips.valid & ~first), name
    assert torch.equal(clips.known["ego"], clips.valid)


def test_clips_of_recordings_know_what_was_recorded() -> None:
    full, bare = recording(1), recording(2)
    assert full.parts and not bare.parts
CONFIG = TransformerTraining(
    tokenizer_steps=3,
    tokenizer_frames=8,
    frames=24,
    short=4,
    long=12,
    long_every=2,
    forcing=ForcingConfig(context=0.5, coarse=0.5),
)


@pytest.fixture(scope="module")
def data() -> PackedData:
    """Episodes of a road that goes by; some are of validation seeds. Every number tells which row it stands in."""
    lengths = np.array([30, 12, 3, 25, 18, 40])
    seeds, rows = np.array([1, 2, 3, 9, 4, 19]), int(lengths.sum())
    rng = np.random.default_rng(0)
    pose = np.zeros((rows, 3))
    pose[:, 0] = np.arange(rows)
    pose[:, 2] = 0.01 * np.arange(rows)
    ego = np.zeros((rows, 6), np.float32)
    ego[:, 0], ego[:, 4] = 10.0, np.arange(rows)
    arrays = {
        "semantic": rng.integers(0, 9, (rows, 64, 64)).astype(np.uint8),
        "ego": ego,
        "ego_pose": pose,
        "actions": rng.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "reward_terms": rng.uniform(-1, 1, (rows, 7)).astype(np.float32),
        "events": rng.random((rows, 4)) < 0.1,
    }
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    names = np.array(["toy"] * len(seeds))
    return PackedData(arrays, starts, lengths, seeds, names, names, names, "")


@pytest.fixture
def model() -> DrivingTransformer:
    torch.manual_seed(0)
    return DrivingTransformer(replace(SIZES["transformer-tiny"], modalities=("bev",)), CONTRACTS["driving"])


def test_clips_are_successive_moments_of_one_episode(data: PackedData) -> None:
    sampler = ClipSampler(data, ("bev",))
    clips = sampler.sample(200, 6, 1, 2)
    row = clips.ego[..., 4].long()
    where = np.searchsorted(np.cumsum(data.lengths), row.numpy(), side="right")
    assert (where == where[:, :1]).all()
    assert torch.equal(row.diff(dim=1) == 1, clips.valid[:, 1:]) and clips.valid[:, 0].all()
    # Only the episode of three moments is too short.
    assert torch.equal(~clips.valid.all(1), torch.from_numpy(where[:, 0] == 2))
    assert torch.equal(clips.observations["bev"], torch.from_numpy(data.arrays["semantic"])[row])
    assert torch.equal(clips.actions, torch.from_numpy(data.arrays["actions"])[row])
    # Ends are reached, and what led to the first moment of an episode is not judged.
    first = torch.isin(row, torch.from_numpy(data.starts))
    assert first.any() and torch.equal(clips.judged, ~first)
    assert torch.isin(torch.from_numpy(data.starts + data.lengths - 1), row).all()
    # One metre ahead in world x, seen from a heading that grows.
    heading = 0.01 * (row - 1)
    motion = torch.stack([heading.cos(), -heading.sin(), torch.full_like(heading, 0.01)], -1)
    torch.testing.assert_close(clips.motion[clips.valid & ~first], motion[clips.valid & ~first], atol=1e-5, rtol=0)
    again = sampler.sample(200, 6, 1, 2)
    assert torch.equal(again.ego, clips.ego) and not torch.equal(sampler.sample(200, 6, 1, 3).ego, clips.ego)


def test_shares_of_labelled_episodes_are_nested_and_the_rest_is_mere_video(data: PackedData) -> None:
    known = [ClipSampler(data, ("bev",), share).known for share in (0.0, 0.3, 0.7, 1.0)]
    assert not known[0].any() and known[3].all()
    assert all((known[i] <= known[i + 1]).all() for i in range(3))
    clips = ClipSampler(data, ("bev",), 0.0).sample(4, 5, 0)
    assert not (clips.labelled | clips.placed | clips.judged).any()
    with pytest.raises(ValueError, match=r"'front'.*semantic"):
        ClipSampler(data, ("front",))


def test_the_tokenizer_learns_first_and_is_frozen_after(data: PackedData, model: DrivingTransformer) -> None:
    objective = TransformerObjective(model, data, CONFIG)
    groups = objective.parameter_groups()
    assert [group["peak"] for group in groups] == [CONFIG.tokenizer_rate, CONFIG.dynamics_rate]
    optimizer = torch.optim.AdamW(groups, 1e-3)
    for step, frames in ((0, 1), (1, 4), (2, 4), (3, 4), (4, 12), (5, 4)):
        batch = objective.batch("train", step)
        assert batch.clips.ego.shape[:2] == ((8 if step < 3 else 24) // frames, frames)
        before = {name: value.clone() for name, value in model.named_parameters()}
        loss, parts = objective(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        changed = {
            name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])
        }
        assert changed == ({"tokenizer"} if step < 3 else {"dynamics", "heads"})
        expected = {"bev"} if step < 3 else {"shortcut", "terms", "events", "beside"}
        assert set(parts) == expected and all(value.isfinite() for value in parts.values())


def test_batches_depend_on_step_and_rank_alone(data: PackedData, model: DrivingTransformer) -> None:
    objective = TransformerObjective(model, data, CONFIG)
    egos = [objective.batch("train", 7, rank, 2).clips.ego for rank in (0, 1, 0)]
    assert torch.equal(egos[0], egos[2]) and not torch.equal(egos[0], egos[1]) and len(egos[0]) == 3


def test_unlabelled_episodes_leave_actions_alone(data: PackedData, model: DrivingTransformer) -> None:
    objective = TransformerObjective(model, data, replace(CONFIG, labelled=0.0))
    objective(objective.batch("train", 4))[0].backward()
    assert (model.dynamics.action.weight.grad == 0).all() and model.dynamics.no_action.grad.abs().sum() > 0
    assert all((p.grad == 0).all() for p in model.heads.parameters())


def test_heads_learn_from_dreams_and_nothing_else_changes(data: PackedData, model: DrivingTransformer) -> None:
    sampler = ClipSampler(data, ("bev",))
    clips = sampler.sample(6, 9, 0)
    torch.manual_seed(0)
    lessons = dreamt(model.eval(), clips, model.context_steps)
    assert lessons.features.shape == (6, 4, model.latent_size) and (lessons.errors > 0).all()
    assert torch.equal(lessons.clips.terms, clips.terms[:, 5:])

    before = {name: value.clone() for name, value in model.named_parameters()}
    fit_heads(model, lambda k: sampler.sample(6, 9, k), 2, 150, 3e-3, 0)
    assert {n.split(".")[0] for n, v in model.named_parameters() if not torch.equal(v, before[n])} == {"heads"}
    said = model.heads.uncertainty(model.heads(lessons.features.float()))
    # What doubt says is about as large as the errors that are made.
    assert (said.mean() / lessons.errors.mean() - 1).abs() < 0.2


def test_a_run_is_finished_as_its_checkpoint_is_kept(data: PackedData, model: DrivingTransformer) -> None:
    config = replace(CONFIG, path_steps=20, path_batch=8, head_batches=1, head_clips=4, head_horizon=3, head_steps=5)
    objective, before = TransformerObjective(model, data, config), {n: v.clone() for n, v in model.named_parameters()}
    objective.finish()
    kept = model.stored_weights()
    for name, value in model.named_parameters():
        part = name.split(".")[0]
        # What is exact is trained last, and never rounded; the rest is as it was, rounded.
        expected = value if part in ("heads", "ego_path") else before[name].half().float()
        assert torch.equal(kept[name].float(), value) and torch.equal(value, expected), name
        assert part not in ("heads", "ego_path") or not torch.equal(value, before[name]) or "inverse" in name, name
    assert model.ego_path.top_speed == 10 and not model.training
