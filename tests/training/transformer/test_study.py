"""The study of the transformer's recipe, on a tiny one."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.packed import PackedData
from learned_sim_env.training import objective
from tests.data.recordings import CONTRACT, recording

# It trains.
pytestmark = pytest.mark.slow

pytest.importorskip("tensorboard")


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location(
        "study_transformer", Path(__file__).parents[3] / "docs" / "study_transformer.py"
    )
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_runs_share_a_tokenizer_and_are_compared(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(objective, "VALIDATION_BATCHES", 1)
    monkeypatch.setattr(objective, "VALIDATION_WINDOWS", 2)
    runs = study.STUDIES
    some = {"recipe": [study.WHOLE, "v-prediction"], "labels": [study.WHOLE, "20% of the actions"]}
    parts = {"v-prediction", "no ramp", "what moves weighs the same", "the frame before as it was"}
    assert set(runs["recipe"]) == {study.WHOLE, *parts}
    assert [changes.get("labelled", 1) for changes in runs["labels"].values()] == [1, 0.2, 0.05, 0.01]
    monkeypatch.setattr(study, "STUDIES", {name: {run: runs[name][run] for run in some[name]} for name in some})
    seen = ("front", "left", "right", "route", "bev", "ego")
    # One of the seeds keeps its labels at a fifth, whichever it is.
    labelled = next(s for s in range(1, 100) if s % 10 < 8 and np.random.default_rng((s, 7)).random() < 0.2)
    data = PackedData.of(
        [recording(seed, 36, modalities=seen) for seed in (labelled, labelled + 1, 9)], CONTRACT.fingerprints()
    )
    monkeypatch.setattr(PackedData, "load", lambda path: data)
    path = tmp_path / "packed.npz"
    path.touch()
    args = study.StudyArgs(
        path,
        tmp_path / "out",
        model="transformer-tiny",
        modalities=("front", "bev"),
        tokenizer_steps=2,
        steps=2,
        batch_size=4,
        windows=2,
    )
    study.main(args)
    told = capsys.readouterr().out
    assert (tmp_path / "out" / "recipe.md").read_text() in told and (tmp_path / "out" / "labels.md").exists()
    for text in ("as it is, K = 1 |", "as it is, K = 8 |", "v-prediction, K = 4 |", "last frame copied"):
        assert text in (tmp_path / "out" / "recipe.md").read_text()
    assert "K = 8" not in (tmp_path / "out" / "labels.md").read_text()
    assert not (tmp_path / "out" / "cache").exists()
    first, other = (
        json.loads((tmp_path / "out" / n / "scores.json").read_text()) for n in ("as-it-is", "v-prediction")
    )
    # The same tokenizer, and other dynamics.
    assert first["tokenizer alone"] == other["tokenizer alone"] and first["K = 4"] != other["K = 4"]
    monkeypatch.setattr(study, "_trainer", None)
    study.main(args)
    assert "v-prediction, K = 4" in capsys.readouterr().out
