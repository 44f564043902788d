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


def test_a_recording_is_no_case(tmp_path, capsys):
    assert main(["drive", "--headless", "--policy", "expert", "--steps", "2", "--record", str(tmp_path / "a.gif")]) == 0
    assert main(["drive", "--headless", "--case", str(tmp_path / "a.npz")]) == 2
    assert "is a recording, not a case" in capsys.readouterr().err
