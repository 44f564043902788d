"""What recorded drives are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.data.packed import PackedData
from learned_sim_env.data.portions import GAP, Length, portions_of, too_few
from learned_sim_env.data.recorded import part_of
from learned_sim_env.data.splits import SPLITS, split_of, splits_of_logs
from tests.data.recordings import CONTRACT, recording, same

LOGS = [f"log {k}" for k in range(200)]


@pytest.mark.parametrize("first", range(0, 190, 7))
def test_each_split_has_a_log_wherever_there_are_three(first):
    for count in range(3, 8):
        found = splits_of_logs(LOGS[first : first + count])
        assert set(found.values()) == set(SPLITS) and len(found) == count
    with pytest.raises(ValueError, match="2 recordings cannot be in 3 splits"):
        splits_of_logs(LOGS[:2])


def test_more_logs_move_none_that_was_not_held_out_for_want_of_others():
    moved = 0
    before = splits_of_logs(LOGS[:3])
    for count in range(4, len(LOGS)):
        now = splits_of_logs(LOGS[:count])
        for log, split in before.items():
            # A log is where its name says, or else it stood in for one.
            if now[log] != split:
                moved += 1
                assert split_of(0, log) in (now[log], "train") or "train" in (split, now[log])
        before = now
    assert moved <= 10
    assert before == {log: split_of(0, log) for log in LOGS[: len(before)]}
    assert 10 < sum(split == "test" for split in before.values()) < 32


def test_few_logs_are_cut_in_time_with_gaps():
    portions = portions_of([Length("b", "b/0", 500), Length("a", "a/10", 100), Length("a", "a/9", 100)])
    spans = [(p.drive, p.split, p.first, p.last) for p in portions]
    # "a" has 200 steps: 80 for training, 40 each for the others, of which a drive ends in between.
    assert spans == [
        (2, "train", 0, 80),
        (1, "validation", 0, 40),
        (1, "test", 40 + GAP, 100),
        (0, "train", 0, 260),
        (0, "validation", 260 + GAP, 380),
        (0, "test", 380 + GAP, 500),
    ]
    assert [(p.split, p.first, p.last) for p in portions_of([Length("a", "a/0", 100)])] == [
        ("train", 0, 50),
        ("validation", 50 + GAP, 100),
    ]
    assert "2 logs are too few" in too_few(portions) and "nothing" not in too_few(portions)
    assert "1 log is too few" in too_few(portions_of([Length("a", "a/0", 90)]))
    assert "nothing for validation and test" in too_few(portions_of([Length("a", "a/0", 70)]))
    assert "nothing for test" in too_few(portions_of([Length("a", "a/0", 90)]))
    assert not too_few(portions_of([Length(log, log, 50) for log in LOGS[:3]])) and not portions_of([])


def test_a_part_of_an_episode():
    known = np.arange(41) < 10
    masks = {"actions": np.arange(41) != 25, "front": known, "agents": known, "route": np.arange(41) > 5}
    whole = recording(3, 40, modalities=("ego", "front", "route"), masks=masks, log="log")
    assert part_of(whole, 0, 40) is whole
    part = part_of(whole, 12, 32)
    assert len(part) == 20 and part.truncations.tolist() == [False] * 19 + [True]
    # What is known nowhere in it is not there, and what is known throughout has no mask.
    assert set(part.observations) == {"ego", "route"} and "agents" not in part.parts and "pose" in part.parts
    assert set(part.valid) == {"actions"} and np.flatnonzero(~part.valid["actions"]).tolist() == [13]
    np.testing.assert_array_equal(part.actions, whole.actions[12:32])
    np.testing.assert_array_equal(part.ego_pose, whole.ego_pose[12:33])
    assert (part.log, part.end_reason) == ("log", "time_limit")


def test_a_split_that_an_episode_was_given_counts():
    episodes = [replace(recording(k, 3, log="log"), split=split) for k, split in enumerate((*SPLITS, ""))]
    packed = PackedData.of(episodes, CONTRACT.fingerprints())
    counts = {split: len(packed.split(split)) for split in SPLITS}
    assert counts == {split: 1 + (split == split_of(0, "log")) for split in SPLITS}
    assert all(same(packed.episode(k), episode) for k, episode in enumerate(episodes))
    with pytest.raises(ValueError, match="Did you mean 'validation'"):
        replace(episodes[0], split="valdation")


def test_logs_that_lack_something_do_not_stand_in_for_whole_ones():
    whole = [Length(log, log, 100) for log in LOGS[:3]]
    bare = [Length(log, log, 100, frozenset({"map", "actions"})) for log in LOGS[3:5]]
    portions = portions_of(whole + bare)
    assert {p.split for p in portions if p.drive < 3} == set(SPLITS) and sum(p.drive < 3 for p in portions) == 3
    assert [(p.drive, p.split) for p in portions if p.drive > 2] == [(k, s) for k in (3, 4) for s in SPLITS[:2]]
    assert "2 logs are too few of a kind" in too_few(portions)
