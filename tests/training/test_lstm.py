"""The plain world model trained, exported and driven by the same commands as any other."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from learned_sim_env.cli.main import main
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.loop.trainer import Trainer
from learned_sim_env.training.lstm import LSTMSettings, window_loss
from learned_sim_env.training.pictures import film_strips
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.conformance import check_world_model
from learned_sim_env.world_model.lstm import SIZES, DrivingLSTM
from tests.training.checkpoint_env import check_environment

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

pytest.importorskip("tensorboard")

TINY = "--model lstm-tiny --batch-size 4 --horizon 6 --warmup 2 --no-bf16 --contexts 4 --threads 1 --drawn-moments 4"


@pytest.fixture(scope="module")
def checkpoint(packed_file, tmp_path_factory):
    """The folder of a checkpoint that `learned-sim train` made."""
    out = tmp_path_factory.mktemp("lstm") / "run"
    assert main(["train", *shlex.split(TINY), "--steps", "6", "--data", str(packed_file), "--out", str(out)]) == 0
    return out / "checkpoint"


def test_its_checkpoint_says_what_it_is(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["architecture"] == "lstm" and config["observes"] == ["bev", "ego"] and config["draws"] == ["bev"]
    assert (checkpoint.parent / "dream-000006.png").exists()
    check_world_model(from_pretrained(checkpoint).model, exact=True)


def test_it_is_an_environment(checkpoint):
    check_environment(checkpoint)


def test_it_is_evaluated(checkpoint, packed_file, tmp_path):
    pytest.importorskip("matplotlib")
    flags = "--seeds validation --episodes 2 --horizon 10 --expected 2 --device cpu"
    where = ["--checkpoint", str(checkpoint), "--data", str(packed_file), "--out", str(tmp_path)]
    assert main(["evaluate", *shlex.split(flags), *where]) == 0
    assert (tmp_path / "table.md").exists()


def test_it_is_driven_in(checkpoint, tmp_path):
    pytest.importorskip("pygame")
    film = tmp_path / "drive.gif"
    flags = f"--headless --steps 5 --policy idm --record {film} --checkpoint {checkpoint}"
    assert main(["drive", *shlex.split(flags)]) == 0
    assert film.exists()


def test_losses_fall_when_it_trains_on_the_same_few_windows(packed, tmp_path):
    config = TrainConfig(model="lstm-tiny", steps=80, batch_size=4, horizon=6, warmup=2, learning_rate=3e-3, bf16=False)
    trainer = Trainer(config, packed, tmp_path, log_every=1, picture_every=1000, save_every=1000)
    window = trainer.objective.train.sample(4, 0, 0)
    trainer.objective.train.sample = lambda *args: window
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["kind"] == "train"]
    for part in ("reconstruction", "numbers"):
        first, last = (sum(line[part] for line in some) for some in (train[:5], train[-5:]))
        assert last < 0.8 * first, part


def windows_of_cameras(model: DrivingLSTM, moments: int = 6) -> SimpleNamespace:
    """Two windows of what a model with cameras learns from: brighter and brighter."""
    chance = torch.Generator().manual_seed(0)
    steps = torch.arange(moments)[None].expand(2, -1)
    seen = {"ego": torch.rand(2, moments, 6, generator=chance), "route": torch.rand(2, moments, 10, 2) * 40}
    seen["front"] = (20 * steps)[..., None, None, None].expand(-1, -1, 64, 96, 3).to(torch.uint8)
    everywhere = torch.ones(2, moments, dtype=torch.bool)
    known = dict.fromkeys((*seen, "actions", "motion", "reward", "events"), everywhere)
    return SimpleNamespace(
        known=known,
        imaginable=everywhere,
        context=model.context_steps,
        observations=seen,
        ego=seen["ego"],
        actions=torch.zeros(2, moments, 2),
        motion=torch.rand(2, moments, 3, generator=chance),
        terms=torch.zeros(2, moments, 4),
        events=torch.zeros(2, moments, 4, dtype=torch.bool),
        valid=everywhere,
        stepped=everywhere,
    )


def test_cameras_and_the_route_are_learned_too():
    torch.manual_seed(0)
    model = DrivingLSTM(SIZES["lstm-camera-tiny"], CONTRACTS["driving-camera"])
    batch, optimizer = windows_of_cameras(model), torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        total, parts = window_loss(model, batch, LSTMSettings())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(parts["reconstruction"]))
    assert losses[-1] < 0.3 * losses[0]
    strips = film_strips(model.eval(), batch, every=1)
    # Truth above dream, of the context's last moment and the one after it.
    assert strips.shape == (2 * 2 * 66, 2 * 98, 3)
    assert (strips[0, 0] == 80).all() and (strips[0, 98] == 100).all()


def test_a_model_that_draws_no_picture_is_trained_without(packed, tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "lstm-tiny", replace(SIZES["lstm-tiny"], draws=()))
    config = TrainConfig(model="lstm-tiny", steps=1, batch_size=4, horizon=6, warmup=2, bf16=False)
    trainer = Trainer(config, packed, tmp_path)
    trainer.run()
    assert trainer.step == 1 and not list(tmp_path.glob("*.png"))
    check_world_model(trainer.model.eval())


def test_settings_of_another_architecture_are_unknown(packed_file, tmp_path, capsys):
    line = ["train", *shlex.split(TINY), "--path-batch", "8", "--data", str(packed_file), "--out", str(tmp_path)]
    with pytest.raises(SystemExit):
        main(line)
    assert "--path-batch" in capsys.readouterr().err


def test_a_run_cannot_start_with_another_architecture(checkpoint, packed, tmp_path):
    config = TrainConfig(model="rssm-tiny", batch_size=4, start=str(checkpoint))
    with pytest.raises(ValueError, match="is no rssm-tiny: it is of architecture 'lstm'"):
        Trainer(config, packed, tmp_path / "other")
    trainer = Trainer(TrainConfig(model="lstm-tiny", batch_size=4, start=str(checkpoint)), packed, tmp_path / "same")
    for (name, a), b in zip(from_pretrained(checkpoint).model.named_parameters(), trainer.model.parameters()):
        assert torch.equal(a, b), name


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ("driving", "unknown modality of contract 'driving': 'front'"),
        ("driving-camera", "the data has no modality 'front': it has"),
        ("driving-cameras", "unknown contract 'driving-cameras'"),
    ],
)
def test_what_it_observes_and_draws_must_be_there(contract, message, packed, tmp_path):
    with pytest.raises(ValueError, match=message):
        Trainer(TrainConfig(model="lstm-camera-tiny", contract=contract), packed, tmp_path)
