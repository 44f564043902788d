"""`learned-sim regress` and `learned-sim stress`, as they are typed, with the model and the suite that ship."""

from __future__ import annotations

import json
from xml.etree import ElementTree as xml

import pytest

from learned_sim_env.cli.main import main

SCENES = ("curve-01", "cones-01", "merge-01", "cut_in-01")
DREAM = ("--worlds", "dream", "--seeds", "1", "--rows", "16", "--scenarios", *SCENES)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run of a good driver."""
    folder = tmp_path_factory.mktemp("regress") / "first"
    assert main(["regress", "--policy", "careful", "--out", str(folder), *DREAM]) == 0
    return folder


def test_a_run_leaves_what_people_and_machines_read(first):
    written = json.loads((first / "regress.json").read_text())
    assert [s["name"] for s in written["scenarios"]] == ["cut_in-01", "merge-01", "cones-01", "curve-01"]
    assert len(xml.parse(first / "junit.xml").getroot()) == 2
    assert "Verdict: passed" in (first / "regress.html").read_text()


def test_the_same_policy_twice_gives_the_same_json_and_passes(first, tmp_path):
    out = tmp_path / "again"
    assert main(["regress", "--policy", "careful", "--out", str(out), *DREAM]) == 0
    assert (out / "regress.json").read_bytes() == (first / "regress.json").read_bytes()
    assert main(["regress", "--policy", "careful", "--out", str(out), "--baseline", str(first), *DREAM]) == 0


@pytest.mark.slow
def test_a_policy_that_turns_off_the_road_does_not_pass(first, tmp_path, capsys):
    wild = ("--perturb", "action_bias=1", "--baseline", str(first), "--limits", "success=0.01", "progress=0.5")
    out = tmp_path / "wild"
    assert main(["regress", "--policy", "careful", "--out", str(out), *wild, *DREAM]) == 1
    said = capsys.readouterr().out
    assert "NOT PASSED" in said and "->" in said
    page = (out / "regress.html").read_text()
    assert "Verdict: not passed" in page and "What became worse" in page
    assert main(["regress", "--out", str(out), "--diff", "--baseline", str(first), "--worlds", "dream"]) == 1


def test_what_is_wrong_is_said_before_anything_is_driven(tmp_path, capsys):
    assert main(["regress", "--policy", "carefull", "--out", str(tmp_path)]) == 2
    assert "Did you mean 'careful'" in capsys.readouterr().err
    assert main(["regress", "--baseline", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "there is no run" in capsys.readouterr().err
    assert main(["regress", "--bounds", "success=much", "--out", str(tmp_path)]) == 2
    assert "is no number" in capsys.readouterr().err
    assert main(["stress", "--strategies", "blurr", "--out", str(tmp_path)]) == 2
    assert "Did you mean 'blur'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stress_test_leaves_cases_that_are_driven_again_exactly(tmp_path, capsys):
    some = ("--strategies", "action_bias", "latent_flips", "--strengths", "1.0", "--starts", "2", "--seeds", "2")
    small = ("--horizon", "30", "--rows", "16", "--searches", "1", "--rounds", "1")
    both = ("--together", "weather", "action_noise")
    assert main(["stress", "--policy", "follow-8", "--out", str(tmp_path), *some, *small, *both]) == 0
    written = json.loads((tmp_path / "stress.json").read_text())
    assert {"strategies", "search", "cases"} <= set(written)
    cases = sorted((tmp_path / "cases").glob("*.npz"))
    assert cases and "What makes follow-8 fail" in (tmp_path / "stress.html").read_text()
    capsys.readouterr()
    for case in cases[:3]:
        assert main(["drive", "--headless", "--case", str(case)]) == 0
        assert "all of them as recorded" in capsys.readouterr().out


@pytest.fixture
def bad(tmp_path):
    """Folders and files that no recording can be read from, by what is wrong with them."""
    for name in ("empty", "other", "damaged", "import"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "notes.txt").write_text("nothing to drive in")
    (tmp_path / "damaged" / "scene.pkl").write_bytes(b"tracks map_features metadata")
    (tmp_path / "import" / "episodes.json").write_text('[{"file": "scene.pkl", "speed": 3}]')
    return tmp_path


@pytest.mark.parametrize(
    ("command", "name", "said"),
    [
        ("regress", "missing", "missing does not exist: name a file or folder of recordings"),
        ("compare", "missing", "missing does not exist: name a file or folder of recordings"),
        ("collect", "missing", "missing does not exist: name a file or folder of recordings"),
        ("drive", "missing", "missing does not exist: name a file or folder of recordings"),
        ("regress", "empty", "empty holds no recordings: this folder is empty"),
        ("collect", "other", "other holds no recordings: this folder is no recording of a known format"),
        ("regress", "import", "import: episodes.json has a row that is no episode"),
    ],
)
def test_a_bad_folder_of_recordings_is_one_sentence(command, name, said, bad, capsys):
    recordings, out = f"recordings={bad / name}", bad / "out"
    argv = {
        "regress": ["--worlds", "twin", "--simulator", "recorded", "--settings", recordings, "--out", str(out)],
        "compare": ["LearnedDriving-v0", "RecordedDriving-v0", "--settings-b", recordings, "--out", str(out)],
        "collect": ["--episodes", "1", "--simulator", "recorded", "--settings", recordings, "--out", str(out)],
        "drive": ["--headless", "--policy", "idm", "--steps", "1", "--twin", "recorded", "--twin-settings", recordings],
    }
    assert main([command, *argv[command]]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("learned-sim: error: ") and said in told[-1] and "Traceback" not in "".join(told)
    # Nothing that another try, with the right folder, would stumble over.
    assert not (out / "collection.json").exists()


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("train", ["--start", "bev-rssm", "--data"]),
        ("evaluate", ["--data"]),
        ("learn", ["--agent", "cloning", "--data"]),
        ("stress", ["--starts", "1", "--episodes"]),
        ("transfer", ["--agents", "cloning", "--only-agents", "--data"]),
    ],
)
def test_a_bad_folder_of_episodes_is_one_sentence(command, options, bad, capsys):
    if command == "transfer":
        for module in ("stable_baselines3", "metadrive"):
            pytest.importorskip(module, reason="needs the extras [rl,metadrive]")
    for name, said in (("missing", "missing does not exist: name a folder"), ("empty", "no dataset at")):
        assert main([command, *options, str(bad / name), "--out", str(bad / "out")]) == 2
        told = capsys.readouterr().err.strip().splitlines()
        assert said in told[-1] and "that learned-sim collect or import has written" in told[-1], told
    # Nothing that another try, with the right folder, would stumble over.
    assert not {p.name for p in bad.glob("out/*")} - {".lock", "tensorboard"}


def test_what_a_worker_finds_wrong_is_one_sentence(bad, capsys):
    recorded = ("--simulator", "recorded", "--settings", f"recordings={bad / 'damaged'}")
    out = ("--out", str(bad / "out"))
    assert main(["regress", "--worlds", "twin", "--scenarios", SCENES[0], *recorded, *out]) == 2
    assert "none of 1 drives can be driven in the twin" in (told := capsys.readouterr().err)
    assert "scene.pkl: it is no whole pickle" in told and "Traceback" not in told
    assert main(["collect", "--episodes", "8", *recorded, *out]) == 2
    assert "8 tasks failed in a row" in (told := capsys.readouterr().err)
    assert "scene.pkl: it is no whole pickle" in told and "Traceback" not in told


def test_a_recording_is_no_case(tmp_path, capsys):
    assert main(["drive", "--headless", "--policy", "expert", "--steps", "2", "--record", str(tmp_path / "a.gif")]) == 0
    assert main(["drive", "--headless", "--case", str(tmp_path / "a.npz")]) == 2
    assert "is a recording, not a case" in capsys.readouterr().err
