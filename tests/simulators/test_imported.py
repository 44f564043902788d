"""An import as a simulator: its episodes are scenarios, and what was learned from them is driven there again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.cli.main import main
from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.imports import ImportConfig, look_at_all
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.evaluation.ladder import measure_level
from learned_sim_env.evaluation.levels import LevelInputs
from learned_sim_env.recordings import imported
from learned_sim_env.spec import RECORDED_SCENARIOS, TEST_SCENARIOS
from learned_sim_env.twins.approach import bring_to_context
from learned_sim_env.twins.replays import replays
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from tests.recordings.world import make_world
from tests.recordings.writers import table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An import of three logs: one for training, one for validation and one for test."""
    pytest.importorskip("minari", reason="Minari is not installed")
    path = tmp_path_factory.mktemp("imported")
    for k in range(3):
        (path / "logs" / str(k)).mkdir(parents=True)
        drive = table(path / "logs" / str(k), make_world(start=(300.0 + 50 * k, -120.0)))
        about = json.loads((drive / "about.json").read_text())
        (drive / "about.json").write_text(json.dumps({**about, "name": f"drive {k}", "log": f"log {k}"}))
    look_at_all(ImportConfig(path / "logs", path / "data", workers=1))
    return path / "data"


@pytest.fixture
def twin(folder):
    with TwinDrivingEnv("recorded", recordings=folder, max_episode_steps=1000) as twin:
        yield twin


def test_a_recorded_seed_is_an_episode(folder, twin):
    packed = PackedData.load(folder / "packed.npz")
    for seed in packed.seeds.tolist():
        episode = packed.episode(packed.seeds.tolist().index(seed))
        assert seed in RECORDED_SCENARIOS and twin.simulator.entering(seed, 7) == {"step": 7}
        observation, _ = twin.reset(seed=seed, options={"step": 7})
        assert np.array_equal(twin.semantic, episode.observations["bev"][7])
        assert np.array_equal(observation["ego"], episode.observations["ego"][7])
        for step in range(8, len(episode) + 1):
            *_, truncated, info = twin.step(twin.simulator.recorded_action())
            assert truncated == (step == len(episode))
        assert info["recorded_distance"] < 0.3


def test_seeds_begin_in_their_split(folder, twin):
    of_split = {e.split: e.drive for e in imported.load(folder)}
    assert len(of_split) == 3
    for first, split in ((0, "train"), (TEST_SCENARIOS.start, "test")):
        for seed in range(first, first + 5):
            twin.reset(seed=seed)
            assert twin.simulator.drive.name == of_split[split]
    assert twin.simulator.entering(0, 7) is None


@pytest.mark.parametrize(
    ("seed", "options", "words"),
    [
        (RECORDED_SCENARIOS.start + 3, {}, "none of the 3 episodes"),
        (RECORDED_SCENARIOS.start, {"step": 80}, "step 80 is none of the 80"),
        (5, {"step": 8}, "seed 5 is none of"),
    ],
)
def test_what_is_not_in_the_import(seed, options, words, twin):
    with pytest.raises(ValueError, match=words):
        twin.reset(seed=seed, options=options)


def test_episodes_are_of_an_import(folder):
    with (
        TwinDrivingEnv("recorded", recordings=folder.parent / "logs") as env,
        pytest.raises(ValueError, match="is episode 1 of an import"),
    ):
        env.reset(seed=RECORDED_SCENARIOS.start + 1)


def test_recordings_that_are_gone_are_named(folder, tmp_path):
    first, *others = imported.load(folder)
    imported.save(tmp_path, [replace(first, file=tmp_path / "moved.pkl"), *others])
    with (
        pytest.raises(ValueError, match=r"1 of the 3 recordings .* such as .*moved\.pkl: put them back"),
        TwinDrivingEnv("recorded", recordings=tmp_path) as env,
    ):
        env.reset(seed=RECORDED_SCENARIOS.start)


@pytest.fixture(scope="module")
def contexts(folder) -> Contexts:
    """Of the three episodes, in their middle."""
    packed = PackedData.load(folder / "packed.npz")
    rows = packed.starts[:, None] + np.arange(20, 25)
    return Contexts(
        {name: packed.read(name, rows) for name in ("bev", "ego", "route")},
        actions=packed.arrays["actions"][rows],
        tags=packed.arrays["tags"][rows[:, -1]],
        scenarios=packed.seeds,
        replay=np.concatenate([packed.arrays["actions"][s + 1 : s + 25] for s in packed.starts]),
        replay_starts=24 * np.arange(len(packed) + 1),
    )


def test_is_brought_to_contexts(contexts, twin):
    for index in range(len(contexts)):
        assert bring_to_context(twin, contexts, index).identical


@pytest.mark.slow
def test_the_same_moments_and_actions(folder, contexts):
    shipped = from_pretrained("bev-rssm")
    beside = {"simulator": "recorded", "twin_settings": {"recordings": folder}}
    part = replays("LearnedDriving-v0", 9, settings={"checkpoint": replace(shipped, contexts=contexts)}, **beside)
    assert part.method.startswith("3 of 3") and 0.0 < part.values["distance"]["value"][-1] < 30.0
    # Contexts of another simulator are no moments of recordings.
    assert "comes to none of 2" in replays("LearnedDriving-v0", 2, **beside).method


@pytest.mark.slow
def test_regress_on_recordings(folder, tmp_path, capsys):
    suite = str(tmp_path / "suite")
    assert main(["regress", "--draw", str(folder), "--suite", suite]) == 0
    assert "scenarios of" in capsys.readouterr().out
    twin = ("--simulator", "recorded", "--settings", f"recordings={folder}", "--seeds", "1", "--rows", "4")
    arguments = ["regress", "--suite", suite, "--policy", "follow-8", "--out", str(tmp_path / "run"), *twin]
    main([*arguments, "--workers", "1"])
    written = json.loads((tmp_path / "run" / "regress.json").read_text())
    assert set(written["worlds"]) == {"dream", "twin"} and written["scenarios"]
    assert "twin: success" in capsys.readouterr().out
    for drives in written["worlds"].values():
        assert drives
    assert "not come" not in (tmp_path / "run" / "regress.html").read_text()
    # What is no simulator is said, rather than left out.
    assert main([*arguments[:-8], "--out", str(tmp_path / "b"), "--simulator", "recordet"]) == 2
    assert "Did you mean 'recorded'" in capsys.readouterr().err


@pytest.mark.slow
def test_compared_with_what_was_learned_from_them(folder, contexts, tmp_path, capsys):
    mine = save_pretrained(tmp_path / "mine", from_pretrained("bev-rssm").model, contexts, 1.0, {})
    both = ["compare", "LearnedDriving-v0", "RecordedDriving-v0", "--settings-a", f"checkpoint={mine}", "--settings-b"]
    little = ["--scenarios", "straight", "roundabout", "--episodes", "1", "--steps", "4"]
    little += ["--out", str(tmp_path / "out")]
    assert main([*both, f"recordings={folder}", "--replays", "3", *little]) == 0
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert set(found) >= {"distributions", "ends", "views", "replays"} and found["replays"]["distance"]
    assert "no recording has a moment with scenario 'roundabout'" in found["about"]["left out"]["roundabout"]
    # Without anything for test there is nothing to begin at.
    imported.save(tmp_path, [e for e in imported.load(folder) if e.split == "train"])
    assert main([*both, f"recordings={tmp_path}", "--replays", "0", *little]) == 2
    assert "no episode for test, which seeds like 1000000 are of: import more logs" in capsys.readouterr().err


@pytest.mark.slow
def test_answers_to_actions_are_compared_with_the_recordings(folder, contexts, tmp_path):
    shipped = from_pretrained("bev-rssm")
    mine = save_pretrained(tmp_path / "mine", shipped.model, contexts, 1.0, {"simulators": ["recorded"]})
    run = ["evaluate", "--checkpoint", str(mine), "--data", str(folder), "--out", str(tmp_path / "out")]
    assert main([*run, "--levels", "responses", "--expected", "0", "--workers", "1"]) == 0
    found = json.loads((tmp_path / "out" / "ladder.json").read_text())["responses"]
    assert sorted(found["contexts"]) == [0, 1, 2] and not found["left_out"]
    # The packed file alone does not tell where the recordings are.
    inputs = LevelInputs(from_pretrained(mine), PackedData.load(folder / "packed.npz"), tmp_path)
    (part,) = measure_level("responses", inputs)
    assert "name the folder of their import" in part.method
