"""Tapes of earlier versions are read and driven again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.viewer.replay import Replay
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.tape import Tape, crc
from learned_sim_env.viewer.tape_format import FORMAT, JUMP

# Made by the version before modalities: 3 steps, then overlay and twin, 2 more steps, perturbed.
EARLIER = Path(__file__).parent / "tape_format_1.npz"


def test_a_tape_of_format_1_is_read():
    with np.load(EARLIER) as file:
        assert '"format": 1' in str(file["about"])
    tape = Tape.load(EARLIER)
    assert tape.about["format"] == FORMAT
    assert len(tape) == 7
    assert tape.arrays["crc/bev"].shape == (7,)
    assert tape.snapshot(0)["format"] == 1
    assert not {"view_crc", "overlay_view", "twin_view"} & set(tape.arrays)


def test_it_is_driven_again_and_can_be_written_anew(shipped, tmp_path):
    tape = Tape.load(EARLIER)
    session = Session(shipped, seed=5)
    if tape.about["checkpoint"] != session.moment.snapshot["checkpoint"]:
        pytest.skip("it was made with another checkpoint than the one that ships now")
    frames = list(Replay(tape, session).frames())
    for t, (kind, frame) in enumerate(frames):
        # What is imagined from there may be rounded otherwise on another processor.
        if kind == JUMP and frame.step == 0:
            assert crc(frame.views["bev"]) == tape.arrays["crc/bev"][t]
    assert frames[0][1].twin is None
    assert frames[5][1].twin.views["bev"].shape == (64, 64)
    assert frames[5][1].twin.apart < 0.1
    assert frames[5][1].overlay["bev"].shape == (64, 64)
    assert [frame.step for _, frame in frames] == [0, 1, 2, 3, 4, 5, 5]
    again = Tape.load(tape.save(tmp_path / "again.npz"))
    assert [frame.step for _, frame in Replay(again, session).frames()] == [frame.step for _, frame in frames]
