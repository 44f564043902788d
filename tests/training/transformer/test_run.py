"""The transformer trained, resumed, exported, driven and evaluated by the same commands as any other model."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from learned_sim_env.cli.main import main
from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.export import calibration
from learned_sim_env.training.loop.trainer import Trainer
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.conformance import check_world_model
from tests.data.recordings import CONTRACT, recording
from tests.training.checkpoint_env import check_environment

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

pytest.importorskip("tensorboard")

TINY = (
    "--model transformer-tiny --modalities bev --batch-size 4 --horizon 3 --warmup 2 --no-bf16 --contexts 4 "
    "--threads 1 --tokenizer-steps 3 --tokenizer-batch 2 --tokenizer-clip 2 --short 4 --path-steps 6 --path-batch 4 "
    "--head-batches 1 --head-batch 4 --head-horizon 3 --head-steps 4"
)
CONFIG = TrainConfig("transformer-tiny", steps=6, batch_size=4, horizon=3, warmup=2, bf16=False)
SETTINGS = TransformerSettings(("bev",), tokenizer_steps=3, tokenizer_batch=2, tokenizer_clip=2, short=4)


@pytest.fixture(scope="module")
def checkpoint(packed_file, tmp_path_factory):
    """The folder of a checkpoint that `learned-sim train` made."""
    out = tmp_path_factory.mktemp("transformer") / "run"
    with pytest.MonkeyPatch.context() as patch:
        # The bound of doubt from shorter futures, which take a tenth of the time.
        patch.setattr(calibration, "FUTURE_STEPS", 5)
        assert main(["train", *shlex.split(TINY), "--steps", "6", "--data", str(packed_file), "--out", str(out)]) == 0
    return out / "checkpoint"


@pytest.fixture(scope="module")
def whole(packed, tmp_path_factory):
    """The folder of a run that was never stopped."""
    out = tmp_path_factory.mktemp("whole")
    Trainer(CONFIG, packed, out, SETTINGS).run()
    return out


def test_its_checkpoint_says_what_it_is_and_keeps_weights_in_half_precision(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["architecture"] == "transformer" and config["draws"] == ["bev"]
    assert config["training"]["tokenizer_steps"] == 3
    weights = load_file(checkpoint / "model.safetensors")
    exact = {name.split(".")[0] for name, value in weights.items() if value.dtype == torch.float32}
    assert exact == {"heads", "doubt", "ego_path"} and weights["dynamics.place"].dtype == torch.float16
    assert list(checkpoint.parent.glob("dream-000006.png"))
    assert not (checkpoint.parent / "cache").exists(), "tokens are not needed any more"
    check_world_model(from_pretrained(checkpoint).model, exact=True)


def test_it_is_an_environment(checkpoint):
    check_environment(checkpoint)


@pytest.mark.slow
def test_its_predictions_are_evaluated(checkpoint, packed_file, tmp_path):
    pytest.importorskip("matplotlib")
    flags = "--levels prediction --seeds validation --episodes 2 --horizon 10 --expected 2 --device cpu"
    where = ["--checkpoint", str(checkpoint), "--data", str(packed_file), "--out", str(tmp_path)]
    assert main(["evaluate", *shlex.split(flags), *where]) == 0
    assert (tmp_path / "table.md").exists()


def test_each_stage_has_a_warm_up_and_a_cosine_of_its_own(packed, tmp_path):
    trainer = Trainer(CONFIG, packed, tmp_path, SETTINGS)
    rates, loss = [], trainer.objective.loss

    def watched(batch):
        if trainer.model.training:
            rates.append([group["lr"] / group["peak"] for group in trainer.optimizer.param_groups])
        return loss(batch)

    trainer.objective.loss = watched
    trainer.run()
    # Half, and all of 3/4 and 1/4 of what lies above the last rate, a twentieth.
    stage = [0.5, 0.05 + 0.95 * 0.75, 0.05 + 0.95 * 0.25]
    assert np.allclose(rates, [[share, 0] for share in stage] + [[0, share] for share in stage])


@pytest.mark.parametrize("stop", [2, 4])
def test_a_run_resumes_exactly_in_either_stage(stop, whole, packed, tmp_path):
    first = Trainer(CONFIG, packed, tmp_path, SETTINGS, save_every=1)
    batch = first.objective.batch

    def ended(step):
        if step == stop:
            raise InterruptedError
        return batch(step)

    first.objective.batch = ended
    with pytest.raises(InterruptedError):
        first.run()
    second = Trainer(CONFIG, packed, tmp_path, SETTINGS)
    # Frames of the second stage are encoded once for all pieces of a run.
    assert second.step == stop and (tmp_path / "cache").exists() == (stop == 4)
    second.run()
    a, b = (load_file(folder / "state.safetensors") for folder in (whole, tmp_path))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_cameras_are_learned_in_reduced_precision_mostly_from_video(tmp_path):
    seen = ("front", "left", "right", "route", "bev", "ego")
    episodes = [recording(seed, 20, modalities=seen) for seed in (1, 2, 3, 9)]
    data = PackedData.of(episodes, CONTRACT.fingerprints())
    config = replace(CONFIG, contract="driving-camera", bf16=True)
    trainer = Trainer(config, data, tmp_path, replace(SETTINGS, modalities=(), labelled=0.5), log_every=1)
    known = torch.cat([trainer.objective.batch(step).clips.known["actions"][:, 1] for step in range(3, 12)])
    assert 0.1 < known.float().mean() < 0.9
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    first, last = (next(line for line in lines if line["step"] == step) for step in (1, 6))
    assert {"front", "front_edges", "bev", "route"} <= first.keys() and {"shortcut", "terms"} <= last.keys()
    assert all(np.isfinite(value) for line in lines for value in line.values() if not isinstance(value, str))
