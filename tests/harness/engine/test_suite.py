"""Suites are read as they were written, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.harness.engine.suite import FILE, STARTS, Suite
from learned_sim_env.harness.regression.labels import LABELS
from learned_sim_env.harness.regression.metrics import METRICS
from learned_sim_env.spec import TEST_SCENARIOS
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from tests.harness.world import small_suite


@pytest.fixture(scope="module")
def shipped() -> Suite:
    return Suite.load("driving")


def test_what_was_written_is_read_again(tmp_path):
    _, suite = small_suite()
    suite.save(tmp_path / "small")
    again = Suite.load(tmp_path / "small")
    assert (again.name, again.scenarios, again.limits) == (suite.name, suite.scenarios, suite.limits)
    np.testing.assert_array_equal(again.starts.observations["bev"], suite.starts.observations["bev"])
    np.testing.assert_array_equal(again.paths, suite.paths)
    suite.save(tmp_path / "small")
    assert Suite.load(tmp_path / "small").fingerprint == again.fingerprint


def test_a_changed_file_of_starts_is_refused(tmp_path):
    _, suite = small_suite()
    suite.save(tmp_path)
    content = (tmp_path / STARTS).read_bytes()
    (tmp_path / STARTS).write_bytes(content + b"x")
    with pytest.raises(ValueError, match="does not have the hash"):
        Suite.load(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('expected = "safe"', 'expected = "save"', "Did you mean 'safe'"),
        ("horizon = 8", "horizont = 8", "Did you mean 'horizon'"),
        ("start = 3", "start = 4", "start 4, of 4"),
        ('name = "scene-1"', 'name = "scene-0"', "more than one scenario called 'scene-0'"),
        ("format = 1", "format = 7", "has format 7"),
    ],
)
def test_what_is_wrong_in_the_readable_file_is_named(tmp_path, before, after, message):
    _, suite = small_suite()
    suite.save(tmp_path)
    text = (tmp_path / FILE).read_text()
    assert before in text
    (tmp_path / FILE).write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=message):
        Suite.load(tmp_path)


def test_an_unknown_suite_says_which_there_are():
    with pytest.raises(FileNotFoundError, match="Did you mean 'driving'"):
        Suite.load("drivin")


def test_a_folder_is_a_path_and_takes_no_name_away(tmp_path, monkeypatch, shipped):
    monkeypatch.chdir(tmp_path)
    _, suite = small_suite()
    suite.save(tmp_path / "driving")
    assert Suite.load("driving").fingerprint == shipped.fingerprint != Suite.load("./driving").fingerprint
    with pytest.raises(FileNotFoundError, match=r"none is not a suite: it has no suite\.toml"):
        Suite.load("./none")


def test_scenarios_are_selected_by_name_and_tag():
    _, suite = small_suite()
    assert [s.name for s in suite.select(("scene-0", "merge"))] == ["scene-0", "scene-2", "scene-3"]
    assert len(suite.select(())) == 4
    with pytest.raises(ValueError, match="Did you mean 'curve'"):
        suite.select(("curv",))


def test_the_shipped_suite_covers_every_kind_with_test_episodes(shipped):
    assert len(shipped.scenarios) >= 120
    assert {tag for s in shipped.scenarios for tag in s.tags} == set(LABELS)
    assert all(int(seed) in TEST_SCENARIOS for seed in shipped.starts.scenarios)
    assert set(shipped.limits) <= set(METRICS)
    assert {s.expected for s in shipped.scenarios} == {"safe", "drive", "arrive"}


def test_replays_of_the_shipped_suite_end_with_the_actions_of_its_starts(shipped):
    for i in range(len(shipped.starts)):
        replay = shipped.starts.replay_actions(i)
        np.testing.assert_array_equal(replay[-CONTEXT_STEPS:], shipped.starts.actions[i][-len(replay) :])
    assert np.isfinite(shipped.paths).all() and (shipped.path_steps >= 1).all()
