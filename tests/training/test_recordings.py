"""Training on recordings: what is not known is never learned from, and what a model needs is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env.cli.main import main
from learned_sim_env.data.episode import PARTS
from learned_sim_env.data.imports import ImportConfig, look_at_all
from learned_sim_env.data.packed import PackedData
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.export.amount import how_little
from learned_sim_env.training.export.export import choose_contexts
from learned_sim_env.training.lstm import LSTMSettings
from learned_sim_env.training.lstm import window_loss as lstm_loss
from learned_sim_env.training.rssm.fine_tune_heads import head_loss, imagined
from learned_sim_env.training.rssm.losses import window_loss
from learned_sim_env.training.rssm.settings import LossConfig
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.rssm.config import SIZES
from tests.data.recordings import recording
from tests.recordings.world import make_world
from tests.recordings.writers import table

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

CONTRACT = CONTRACTS["driving"]
# Logs of which there is one for training, one for validation and one for test.
WHOLE = ("log 0", "log 1", "log 2")
# Losses of whole episodes before there were masks.
TOTALS = {"rssm-tiny": 36.40795, "lstm-tiny": 6.646852}


def losses(name: str, packed: PackedData) -> tuple[dict[str, float], torch.Tensor]:
    """Parts of the loss of one batch, and all gradients as one vector."""
    torch.manual_seed(0)
    model = model_of_size(name, CONTRACT)
    sampler = WindowSampler(packed, 5, 8, 0.1)
    batch, paths = sampler.sample(6, 0, 0), sampler.sample_paths(24, 0, 0)
    torch.manual_seed(1)
    if name == "rssm-tiny":
        total, parts = window_loss(model, batch, paths, LossConfig())
        total = total + head_loss(model.heads, imagined(model, batch, 0)) if batch.known["reward"].any() else total
    else:
        total, parts = lstm_loss(model, batch, LSTMSettings())
    total.backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return {name: value.item() for name, value in parts.items()}, torch.cat(gradients)


EARLY = np.tile(np.arange(25) < 9, 2)


def with_gaps(parts: tuple[str, ...], rng: np.random.Generator | None) -> PackedData:
    """Two drawn episodes with `parts` known in their first moments only; noise of `rng` elsewhere, None for zeros."""
    packed = PackedData.of([recording(seed, 24) for seed in (0, 1)], CONTRACT.fingerprints())
    arrays = dict(packed.arrays)
    for name in (name for part in parts for name in PARTS.get(part, (part,))):
        array = arrays[name].copy()
        hidden = array[~EARLY]
        if rng is None:
            array[~EARLY] = -1 if name == "agent_ids" else 0
        elif hidden.dtype.kind == "f":
            array[~EARLY] = rng.uniform(0.1, 1, hidden.shape)
        else:
            array[~EARLY] = rng.integers(0, 2, hidden.shape)
        arrays[name] = array
    return replace(packed, arrays=arrays, valid=dict.fromkeys(parts, EARLY))


@pytest.mark.parametrize("name", ["rssm-tiny", "lstm-tiny"])
@pytest.mark.parametrize(
    "parts", [("map",), ("agents",), ("stations",), ("reward", "events"), ("actions",)], ids="-".join
)
def test_nothing_is_learned_from_what_is_not_known(name, parts):
    zeros, noise = (losses(name, with_gaps(parts, rng)) for rng in (None, np.random.default_rng(0)))
    assert zeros[0] == noise[0]
    assert torch.equal(zeros[1], noise[1]) and torch.isfinite(zeros[1]).all()


@pytest.mark.parametrize("name", ["rssm-tiny", "lstm-tiny"])
def test_what_no_episode_has_costs_nothing(name):
    bare = recording(0, 24, (), masks={"actions": np.zeros(25, bool)})
    parts, gradients = losses(name, PackedData.of([bare], CONTRACT.fingerprints()))
    # What is seen in an episode's first moment, to which no action led, is known.
    assert {name for name, value in parts.items() if value} <= {"kl", "reconstruction", "doubt"}
    assert torch.isfinite(gradients).all()


def test_losses_of_whole_episodes_are_what_they_were(monkeypatch):
    """As they were before masks, of a model of then: whatever is known everywhere must not be weighted otherwise."""
    monkeypatch.setitem(SIZES, "rssm-tiny", replace(SIZES["rssm-tiny"], conflicts=False, neighbours=False))
    packed = PackedData.of([recording(seed, 24) for seed in (0, 1)], CONTRACT.fingerprints())
    everywhere = replace(packed, valid=dict.fromkeys((*PARTS, "actions", "bev", "ego"), np.ones(50, bool)))
    for name in ("rssm-tiny", "lstm-tiny"):
        (parts, gradients), (same, others) = losses(name, packed), losses(name, everywhere)
        assert parts == same and torch.equal(gradients, others)
        assert sum(parts.values()) == pytest.approx(TOTALS[name], rel=1e-4)


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    """A data set of three recordings with maps, and one without a map."""
    pytest.importorskip("minari", reason="Minari is not installed")
    logs, world = tmp_path_factory.mktemp("logs"), make_world()
    for log in (*WHOLE, "log 4"):
        (logs / log).mkdir()
        path = table(logs / log, world)
        about = json.loads((path / "about.json").read_text())
        (path / "about.json").write_text(json.dumps({**about, "name": log, "log": log}))
    (path / "map.json").unlink()
    look_at_all(ImportConfig(logs, logs / "mine-v0", workers=2))
    return logs / "mine-v0"


def flags(data: Path, out: Path, model: str, *more: str) -> list[str]:
    run = ["--steps", "2", "--batch-size", "4", "--horizon", "8", "--device", "cpu", "--contexts", "8", "--no-bf16"]
    if model == "rssm-tiny":
        run += ["--path-batch", "8", "--path-steps", "8", "--agent-steps", "2"]
        run += ["--head-windows", "64", "--head-steps", "2"]
    return ["train", "--data", str(data), "--out", str(out), "--model", model, *run, *more]


def test_a_model_is_trained_on_recordings_and_adapted_to_them(imported, packed, tmp_path, monkeypatch):
    monkeypatch.setattr("learned_sim_env.training.export.calibration.FUTURE_STEPS", 3)
    assert main(flags(imported, tmp_path / "lstm", "lstm-tiny")) == 0
    # From the two that it may see: its rows have what the model observes.
    assert from_pretrained(tmp_path / "lstm" / "checkpoint").contexts.observations["bev"].any((2, 3)).all()
    model = model_of_size("rssm-tiny", CONTRACT).eval()
    save_pretrained(tmp_path / "first", model, choose_contexts(packed, 8, model), 1.0, {})
    assert main(flags(imported, tmp_path / "rssm", "rssm-tiny", "--start", str(tmp_path / "first"))) == 0
    assert from_pretrained(tmp_path / "rssm" / "checkpoint").training["steps"] == 2


def test_what_a_model_needs_and_recordings_lack_is_said(imported, tmp_path, capsys):
    packed = PackedData.load(imported / "packed.npz")
    bare = packed.select(packed.logs == "log 4")
    with pytest.raises(ValueError, match="none of the 2 episodes has bev, ego throughout"):
        bare.having(("bev", "ego"))
    assert main(flags(imported, tmp_path / "out", "lstm-camera-tiny", "--contract", "driving-camera")) != 0
    assert "front" in capsys.readouterr().err


def test_a_hundred_frames_are_trained_on_and_it_is_said_how_little_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("learned_sim_env.training.export.calibration.FUTURE_STEPS", 3)
    pytest.importorskip("minari", reason="Minari is not installed")
    table(tmp_path, make_world(10.0))
    assert len(PackedData.load(imported_of(tmp_path)).seeds) == 2
    assert main(flags(tmp_path / "mine-v0", tmp_path / "out", "lstm-tiny")) == 0
    out = capsys.readouterr().out
    assert "There are 50 frames to train on (5 s, 1 episode of 1 log): 0.02% of the 212,168 that bev-rssm" in out
    assert "begin with --start bev-rssm" in out and "1 starting contexts instead of 8" in out


def imported_of(folder: Path) -> Path:
    look_at_all(ImportConfig(folder / "drive", folder / "mine-v0", workers=1))
    return folder / "mine-v0" / "packed.npz"


def test_what_is_said_of_little_data(packed, tmp_path):
    def said(steps: int, *more) -> str:
        return how_little(PackedData.of([recording(0, steps, log="log 1")], CONTRACT.fingerprints()), 0.1, *more)

    assert "100 frames to train on (10 s, 1 episode of 1 log): 0.05%" in said(100, 10)
    assert "In 500 steps the model learns them by heart: fewer will do, about 100." in said(100, 500, "bev-rssm")
    assert "on these roads rather than on others" in said(100, 50, "bev-rssm")
    assert "less than 0.01%" in said(5, 50) and not said(100, 50, str(tmp_path / "nowhere"))
    model = model_of_size("lstm-tiny", CONTRACT).eval()
    path = save_pretrained(tmp_path / "mine", model, choose_contexts(packed, 2, model), 1.0, {"frames": 500})
    assert not said(60, 50, str(path)) and "that mine has learned from" in said(40, 50, str(path))
