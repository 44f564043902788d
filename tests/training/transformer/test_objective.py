"""Clips, the objective's two stages, and the heads that learn from dreams."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.processes import Process
from learned_sim_env.training.transformer import dream_heads
from learned_sim_env.training.transformer.clips import BEFORE, LABELS, TOKENS, Clips, labelled_episodes, partly_labelled
from learned_sim_env.training.transformer.dream_heads import dream, fit_heads
from learned_sim_env.training.transformer.objective import VIDEO, StageBatch, TransformerObjective
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.training.transformer.shortcut_loss import ForcingConfig, moving_weights
from learned_sim_env.training.transformer.tokenizer_loss import token_weights
from tests.data.recordings import CONTRACT, recording

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

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


ALONE = Process()


def objective(data: PackedData, process: Process = ALONE, **settings: object) -> TransformerObjective:
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
    assert torch.equal(clips.actions, clips.ego[..., 2:4])


def test_what_was_not_recorded_is_not_known() -> None:
    """Rewards, events, poses and actions may be missing, moments without a picture do not count."""
    steps = 20
    dark = np.arange(steps + 1) != 7
    bare = recording(1, steps, parts=(), masks={"actions": np.zeros(steps + 1, bool), "bev": dark})
    whole = recording(2, steps)
    data = PackedData.of([bare, whole], CONTRACT.fingerprints())
    only = [sampled(data.select(np.array([i])), 100, 6) for i in (0, 1)]
    assert not any(only[0].known[name].any() for name in ("actions", "reward", "events"))
    assert all(only[1].known[name].any() for name in ("actions", "ego", "reward", "events"))
    assert not only[0].valid.all() and len(labelled_episodes(data)) == 1
    with pytest.raises(ValueError, match="no training episode has actions"):
        labelled_episodes(data.select(np.array([0])))


def test_shares_of_labelled_episodes_are_nested_and_the_rest_is_plain_video(packed: PackedData) -> None:
    kept = []
    for share in (0.2, 0.5, 0.8, 1.0):
        some = partly_labelled(packed, share)
        masks = np.array([some.known(name, some.starts + 1) for name in LABELS])
        assert (masks == masks[:1]).all() and some.known("bev", slice(None)).all()
        kept.append(masks[0])
    assert all((a <= b).all() for a, b in pairwise(kept)) and kept[-1].all() and not kept[0].all()
    # Validation is never without labels.
    assert all(mask[np.isin(packed.seeds, (9, 19))].all() for mask in kept)
    with pytest.raises(ValueError, match="labelled 0 is not a share"):
        partly_labelled(packed, 0)


def test_the_tokenizer_learns_first_and_is_frozen_after(packed: PackedData) -> None:
    found = objective(packed)
    model, groups = found.model, found.parameter_groups()
    peaks = [(group["peak"], group["span"]) for group in groups]
    assert peaks == [(1e-3, (0, 3)), (8e-4, (3, 8))]
    optimizer = torch.optim.AdamW(groups, 1e-3)
    # Two clips of four moments, or as many single ones; then six of four, or two of twelve.
    shapes = [(8, 1), (2, 4), (2, 4), (6, 4), (2, 12), (6, 4)]
    for step, shape in enumerate(shapes):
        batch = found.batch(step)
        assert batch.clips.ego.shape[:2] == shape
        before = {name: value.clone() for name, value in model.named_parameters()}
        loss, parts = found.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        changed = {
            name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])
        }
        assert changed == ({"tokenizer"} if step < 3 else {"dynamics", "heads"})
        expected = {"bev"} if step < 3 else {"shortcut", "terms", "events", "correction"}
        assert set(parts) == expected and all(value.isfinite() for value in parts.values())
    both = next(iter(found.validation_batches()))
    assert set(found.loss(both)[1]) == {"bev", "shortcut", "terms", "events", "correction"}


def test_batches_depend_on_step_and_process_alone(packed: PackedData) -> None:
    actions = [objective(packed, Process(rank, 2)).batch(5).clips.actions for rank in (0, 1, 0)]
    assert torch.equal(actions[0], actions[2]) and not torch.equal(actions[0], actions[1]) and len(actions[0]) == 3


@pytest.mark.parametrize("steps", [0, 8])
def test_each_stage_has_steps_of_its_own(packed: PackedData, steps: int) -> None:
    with pytest.raises(ValueError, match=f"tokenizer_steps {steps} are not between 0 and the 8 steps"):
        objective(packed, tokenizer_steps=steps)


def test_unlabelled_episodes_leave_actions_alone(packed: PackedData) -> None:
    found = objective(packed)
    clips = found.batch(3).clips
    unknown = {name: torch.zeros_like(mask) for name, mask in clips.known.items()}
    found.loss(StageBatch(replace(clips, known=unknown), tokenizer=False, dynamics=True))[0].backward()
    model = found.model
    assert (model.dynamics.action.weight.grad == 0).all() and model.dynamics.no_action.grad.abs().sum() > 0
    assert all((p.grad == 0).all() for p in model.heads.parameters())


def test_what_moves_weighs_more() -> None:
    clean, valid = torch.rand(2, 3, 4, 32), torch.ones(2, 3, dtype=torch.bool)
    moved = clean.clone()
    moved[0, 1, 0] += 1.0
    weights = moving_weights(clean, moved, valid, 0.5)
    # One of 24 tokens is other than geometry says: its weight is bounded, and what it says exactly has half of one.
    assert weights[0, 1].tolist() == [3.0, 0.5, 0.5, 0.5] and weights[1].unique().tolist() == [0.5]
    assert (moving_weights(clean, moved, valid, 0.0) == 1).all()


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A packed file of what a front camera saw, with actions that nobody may look at, and an episode for test."""
    folder = tmp_path_factory.mktemp("films")
    blind = np.zeros(21, bool)
    some = [
        recording(k, 20, parts=(), modalities=("front", "ego"), masks={"ego": blind}) for k in (101, 102, 1_000_001)
    ]
    PackedData.save(folder / "packed.npz", some, CONTRACT.fingerprints(("front", "ego")))
    return str(folder / "packed.npz")


@pytest.fixture(scope="module")
def filmed(films: str) -> TransformerObjective:
    """An objective of front and bev, which learns of front from films as well."""
    episodes = [recording(seed, 20, modalities=("front", "bev", "ego")) for seed in (1, 2, 9)]
    data = PackedData.of(episodes, CONTRACT.fingerprints())
    settings = replace(SETTINGS, modalities=("front", "bev"), unlabelled=films, unlabelled_steps=2)
    config = replace(CONFIG, contract="driving-camera")
    return TransformerObjective(config, settings, data, ALONE, torch.device("cpu"))


def test_films_are_learned_from_first_and_then_in_a_share_of_the_steps(filmed: TransformerObjective) -> None:
    plain = [not bool(filmed.batch(step).clips.seen["bev"].all()) for step in range(60)]
    assert plain[3:5] == [True, True] and 0.3 < np.mean(plain) < 0.7
    for step in (3, 4):
        clips = filmed.batch(step).clips
        assert not any(mask.any() for mask in clips.known.values()), "what is known besides is not used"
        assert clips.seen["front"].all() and not clips.seen["bev"][clips.valid].any() and clips.valid.any()
        assert clips.observations.keys() == {TOKENS, BEFORE}
        assert [clips.observations[name].shape[2:] for name in (TOKENS, BEFORE)] == [(40, 32), (40, 64)]
    # None of the test split.
    assert len(filmed._sources[VIDEO][0]) == 2
    # The tokenizer, which is not shown tokens, sees that much.
    shown = Clips.of(filmed._pictured[VIDEO][4].sample(2, 0, 0), ("front", "bev"), filmed.model.contract)
    assert shown.observations["bev"].shape[2:] == (64, 64) and not shown.observations["bev"].any()


def test_films_teach_no_action_and_nothing_of_what_they_do_not_show(filmed: TransformerObjective) -> None:
    model, weights = filmed.model, filmed.model.dynamics
    batch = filmed.batch(3)
    filmed.loss(batch)[0].backward()
    assert (weights.action.weight.grad == 0).all() and weights.no_action.grad.abs().sum() > 0
    assert all((p.grad == 0).all() for p in [*weights.ego.parameters(), *model.heads.parameters()])
    model.zero_grad()
    # Whatever the tokens of the view from above are guessed to be, they are no target.
    shown = token_weights(model.tokenizer, {name: mask[:1] for name, mask in batch.clips.seen.items()})
    assert shown[0, 0].tolist() == [1.0] * 24 + [0.0] * 16
    pictures = Clips.of(filmed._pictured[VIDEO][4].sample(2, 0, 0), ("front", "bev"), filmed.model.contract)
    loss, parts = filmed.loss(StageBatch(pictures, tokenizer=True, dynamics=False))
    loss.backward()
    assert parts["bev"] == 0 and parts["front"] > 0
    model.zero_grad()


def test_films_without_any_modality_of_the_model_are_refused(packed: PackedData, films: str) -> None:
    with pytest.raises(ValueError, match="has none of bev, which are learned: it has ego, front"):
        objective(packed, unlabelled=films)


def test_heads_learn_from_dreams_and_nothing_else_changes(packed: PackedData) -> None:
    model, clips = objective(packed).model.eval(), sampled(packed, 6, 9)
    torch.manual_seed(0)
    lessons = dream(model, clips, model.context_steps)
    assert lessons.features.shape == (6, 4, model.latent_size) and (lessons.errors > 0).all()
    assert torch.equal(lessons.clips.terms, clips.terms[:, 5:])

    before = {name: value.clone() for name, value in model.named_parameters()}
    settings = replace(SETTINGS, head_batches=2, head_steps=150, head_learning_rate=3e-3)
    ranks = fit_heads(model, lambda k: sampled(packed, 6, 9, k), settings, 0)
    assert set(ranks) == {"doubt_spread", "doubt_cycle", "doubt_uncertainty"}
    assert all(-1 <= rank <= 1 for rank in ranks.values())
    assert {n.split(".")[0] for n, v in model.named_parameters() if not torch.equal(v, before[n])} == {"heads", "doubt"}
    doubt = model.doubt.uncertainty(lessons.features.float(), lessons.signals)
    # About as large as the errors that are made.
    assert (doubt.mean() / lessons.errors.mean() - 1).abs() < 0.2


def test_a_fifth_of_dreamt_clips_judges_and_is_not_learned_from(packed: PackedData, monkeypatch) -> None:
    model = objective(packed).model.eval()
    learned, judged = set(), set()

    def watched(model, dreamt):
        (learned if torch.is_grad_enabled() else judged).update(dreamt.errors[:, 0].tolist())
        return (model.heads.net.output.bias**2).sum()

    def correlated(model, dreamt):
        assert set(dreamt.errors[:, 0].tolist()) == judged
        return {}

    monkeypatch.setattr(dream_heads, "_loss", watched)
    monkeypatch.setattr(dream_heads, "doubt_correlations", correlated)
    fit_heads(model, lambda k: sampled(packed, 5, 9, k), replace(SETTINGS, head_batches=2, head_steps=20), 0)
    # Every clip has an error of its own.
    assert len(judged) == 2 and len(learned) == 8 and not learned & judged
    with pytest.raises(ValueError, match="head_batch 1 clips are too few"):
        fit_heads(model, lambda k: sampled(packed, 1, 9, k), replace(SETTINGS, head_batch=1), 0)


def test_a_run_is_finished_as_its_checkpoint_is_kept(packed: PackedData) -> None:
    found = objective(packed)
    before = {n: v.clone() for n, v in found.model.named_parameters()}
    model, facts = found.finish()
    assert facts["head_steps"] == 5 and not model.training
    assert all(torch.equal(value, before[name]) for name, value in found.model.named_parameters())
    kept, exact = model.stored_weights(), ("heads", "doubt", "ego_path")
    for name, value in model.named_parameters():
        part = name.split(".")[0]
        # What is exact is trained last, and never rounded; the rest is as it was, rounded.
        expected = value if part in exact else before[name].half().float()
        assert torch.equal(kept[name].float(), value) and torch.equal(value, expected), name
        assert part not in exact or not torch.equal(value, before[name]) or "inverse" in name, name
    assert model.ego_path.top_speed == found.paths.top_speed
