"""How much is trained by default of a run that goes on from a checkpoint."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import tyro

from learned_sim_env.cli.main import main
from learned_sim_env.cli.train import TrainArgs, args_for
from learned_sim_env.data.packed import PackedData
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.export.export import choose_contexts
from learned_sim_env.training.objective import objective_class
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.registry import MODELS, model_of_size


@pytest.fixture
def arguments(packed, packed_file, tmp_path):
    """Those of a run on the 246 training frames that goes on from a checkpoint that has learned from so many."""

    def made(frames: int, *more: str) -> TrainArgs:
        model, start = model_of_size("rssm-tiny", CONTRACTS["driving"]).eval(), tmp_path / str(frames)
        save_pretrained(start, model, choose_contexts(packed, 2, model), 1.0, {"frames": frames})
        return parsed(packed_file, "--start", str(start), *more)

    return made


def parsed(data: Path, *more: str) -> TrainArgs:
    """The arguments of a run on these data."""
    argv = ["--data", str(data), "--out", "somewhere", "--model", "rssm-tiny", *more]
    return tyro.cli(args_for(argv), args=argv)


@pytest.mark.parametrize("model", MODELS)
def test_amounts_are_settings(model):
    objective = objective_class(model)
    names = {field.name for kind in (TrainConfig, objective.settings_class) for field in fields(kind)}
    assert {*objective.amounts} <= names


def test_frames_for_training_are_counted(packed, packed_file):
    assert PackedData.count_steps(packed_file, "train") == packed.split("train").steps == 246
    assert PackedData.count_steps(packed_file, "test") == 0


def test_less_is_trained_where_there_is_less_to_learn_from(arguments):
    args = arguments(2460)
    assert (args.config.steps, args.config.warmup, args.config.learning_rate) == (600, 20, 8e-4)
    assert (args.settings.path_steps, args.settings.agent_steps, args.settings.head_windows) == (2800, 800, 819)
    assert args.settings.path_batch == 512
    assert arguments(2460, "--steps", "7", "--path-steps", "0").config.steps == 7


def test_some_is_trained_on_however_little_and_no_more_on_however_much(arguments, packed_file):
    assert (least := arguments(10**6)).config.steps == 60 and least.config.warmup == 2
    assert arguments(100).config.steps == 6000
    # One that does not say, and none.
    assert arguments(0).config.steps == 6000
    assert parsed(packed_file).config.steps == 6000


def test_help_says_how_much(arguments, packed_file, tmp_path, capsys):
    arguments(2460)
    run = ["train", "--model", "rssm-tiny", "--start", str(tmp_path / "2460")]
    with pytest.raises(SystemExit):
        main([*run, "--data", str(packed_file), "--help"])
    assert "(default: 600)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*run, "--help"])
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default: 6000)" in out and "at least a hundredth" in out
    assert main([*run[:-1], str(tmp_path / "nowhere"), "--data", str(packed_file), "--out", str(tmp_path / "o")]) == 2
    assert "nowhere" in capsys.readouterr().err
