"""Training runs: they learn, and go on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from learned_sim_env.spec import CONTRACTS, Fingerprints
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.export.export import choose_contexts
from learned_sim_env.training.loop.trainer import Trainer
from learned_sim_env.training.rssm.settings import LossConfig, RSSMSettings
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.tiny_training import TINY as TINY_FLAGS

pytest.importorskip("tensorboard")

TINY = TrainConfig(
    model="rssm-tiny",
    steps=6,
    batch_size=4,
    horizon=6,
    warmup=2,
    bf16=False,
)
RSSM = RSSMSettings(path_batch=8, loss=LossConfig(drawn_moments=2, seen_moments=1))
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]


def command(data: Path, out: Path, *more: str) -> list[str]:
    flags = ["--save-every", "2", "--threads", "1", "--data", str(data), "--out", str(out), *more]
    return [sys.executable, "-m", "learned_sim_env.cli.main", "train", *TINY_FLAGS, *flags]


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(packed_file, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(packed_file, whole, "--steps", "14"), check=True, env=environment, capture_output=True)
    process = subprocess.Popen(
        command(packed_file, killed, "--steps", "14"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not (killed / "state.safetensors").exists() and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "checkpoint").exists(), "killed too late to tell anything"
    subprocess.run(command(packed_file, killed, "--steps", "14"), check=True, env=environment, capture_output=True)
    a, b = load_file(whole / "state.safetensors"), load_file(killed / "state.safetensors")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    checkpoint = from_pretrained(killed / "checkpoint")
    assert len(checkpoint.contexts) == 4 and checkpoint.uncertainty_bound > 0
    assert (killed / "dream-000014.png").exists() and list((killed / "tensorboard").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_asked_to_end_saves_the_step_it_is_at(processes, packed_file, tmp_path):
    # Not saved by itself so soon.
    line = [*command(packed_file, tmp_path / "run", "--steps", "10000"), "--save-every", "10000"]
    if processes > 1:
        line = [*TORCHRUN, *line[2:]]
    process = subprocess.Popen(line, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not (tmp_path / "run" / "metrics.jsonl").exists() and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    # torchrun has a status of its own.
    assert processes > 1 or process.returncode == 128 + signal.SIGTERM
    with safe_open(tmp_path / "run" / "state.safetensors", "pt") as file:
        step = int(file.metadata()["step"])
    assert step >= 20 and f"step {step} of 10000 is saved" in told
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.slow
def test_losses_fall_when_it_trains_on_the_same_few_windows(packed, tmp_path):
    config = replace(TINY, steps=60, learning_rate=3e-3)
    trainer = Trainer(config, packed, tmp_path, RSSM, log_every=1, picture_every=1000, save_every=1000)
    window = trainer.objective.train.sample(4, 0, 0)
    trainer.objective.train.sample = lambda *args: window  # type: ignore[method-assign]
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["kind"] == "train"]
    for part in ("map", "detection", "terms", "agents", "motion"):
        first, last = (sum(line[part] for line in some) for some in (train[:5], train[-5:]))
        assert last < 0.8 * first, part


def test_another_run_in_the_folder_is_refused(packed, tmp_path):
    Trainer(TINY, packed, tmp_path, RSSM)
    with pytest.raises(ValueError, match=r"learning_rate=0\.0008, this one has 0.1"):
        Trainer(replace(TINY, learning_rate=0.1), packed, tmp_path, RSSM)
    with pytest.raises(ValueError, match="path_batch=8, this one has 16"):
        Trainer(TINY, packed, tmp_path, replace(RSSM, path_batch=16))
    Trainer(replace(TINY, steps=8), packed, tmp_path, RSSM)


def test_a_run_from_before_contracts_were_named_goes_on(packed, tmp_path):
    Trainer(TINY, packed, tmp_path, RSSM)
    stored = json.loads((tmp_path / "run.json").read_text())
    del stored["contract"]
    (tmp_path / "run.json").write_text(json.dumps(stored))
    Trainer(TINY, packed, tmp_path, RSSM)


def test_a_run_can_begin_with_the_weights_of_a_checkpoint(packed, tmp_path):
    torch.manual_seed(1)
    other = DrivingRSSM(SIZES["rssm-tiny"], CONTRACTS["driving"])
    other.births.likelier.fill_(1.0)
    # What it starts from besides the weights does not matter.
    start = save_pretrained(tmp_path / "start", other, choose_contexts(packed, 8, other), 1.0, {})
    trainer = Trainer(replace(TINY, start=str(start)), packed, tmp_path / "run", RSSM)
    for (name, a), b in zip(other.named_parameters(), trainer.model.parameters()):
        assert torch.equal(a, b), name
    assert trainer.model.births.likelier == 0 and trainer.model.ego_path.top_speed < torch.inf
    with pytest.raises(ValueError, match=r"holds a run with start=.*, this one has ''"):
        Trainer(TINY, packed, tmp_path / "run", RSSM)
    with pytest.raises(ValueError, match="is no rssm-small: it is of architecture 'rssm' with the sizes"):
        Trainer(replace(TINY, start=str(start), model="rssm-small"), packed, tmp_path / "small")
    with pytest.raises(FileNotFoundError, match="unknown checkpoint"):
        Trainer(replace(TINY, start="bev-rsm"), packed, tmp_path / "none")


def test_unknown_model_and_other_contract(packed, tmp_path):
    with pytest.raises(ValueError, match=r"unknown model 'rssm-smal'\. Did you mean 'rssm-small'"):
        Trainer(replace(TINY, model="rssm-smal"), packed, tmp_path)
    with pytest.raises(ValueError, match="the data was made for another task"):
        Trainer(TINY, replace(packed, fingerprints=Fingerprints("f" * 64, {})), tmp_path)


@pytest.mark.slow
def test_two_processes_of_torchrun_train_together(packed_file, tmp_path):
    line = TORCHRUN + command(packed_file, tmp_path / "run", "--steps", "3")[2:]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert from_pretrained(tmp_path / "run" / "checkpoint").training["steps"] == 3


@pytest.mark.gpu
def test_trains_on_a_gpu(packed, tmp_path):
    Trainer(replace(TINY, bf16=True), packed, tmp_path, RSSM, device="cuda").run()
