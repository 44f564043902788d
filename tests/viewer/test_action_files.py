"""Files of actions to be driven: arrays and text, whole or refused by place and value."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.viewer.replay import read_actions


def test_files_of_actions(tmp_path):
    actions = np.array([[0.5, -1.0], [0.25, 1.0]], np.float32)
    np.save(tmp_path / "a.npy", actions)
    np.savetxt(tmp_path / "a.csv", actions, delimiter=",")
    assert np.array_equal(read_actions(tmp_path / "a.npy"), actions)
    assert np.array_equal(read_actions(tmp_path / "a.csv"), actions)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.0, 0.0], [0.0, 1.5]], r"row 1, column 2 \(throttle_brake\): 1\.5 is not in \[-1, 1\]"),
        ([[np.nan, 0]], r"row 0, column 1 \(steer\): nan is not in"),
        ([0.0, 1.0], "shape"),
        (np.zeros((0, 2)), "shape"),
    ],
)
def test_actions_that_cannot_be_taken(values, message, tmp_path):
    np.save(tmp_path / "a.npy", np.array(values))
    with pytest.raises(ValueError, match=message):
        read_actions(tmp_path / "a.npy")


def test_files_that_hold_no_actions(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of actions"):
        read_actions(tmp_path / "a.csv")
    (tmp_path / "a.txt").write_text("0,0\n")
    with pytest.raises(ValueError, match=r"\(\.npz\)"):
        read_actions(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "content",
    [
        b"0.5,-1\n0.25,1\n",
        b"\xef\xbb\xbf0.5,-1\r\n0.25,1\r\n",
        b"\xef\xbb\xbfsteer,throttle_brake\n0.5,-1\n0.25,1",
        b'"Steer", "Throttle_Brake"\n\n0.5, -1 # out of the curve\n# and on\n0.25, 1\n\n',
    ],
)
def test_text_as_spreadsheets_and_editors_write_it(content, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    assert read_actions(tmp_path / "a.csv").tolist() == [[0.5, -1.0], [0.25, 1.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"throttle_brake,steer\n0,0\n",
            "line 1, column 1: 'throttle_brake' is not a number; .* steer,thr",
        ),
        (b"0,0\n0,x\n", "line 2, column 2: 'x' is not a number"),
        (b"0,0\n\n0,0,0\n", "line 3: '0,0,0' is not of the form steer,throttle_brake"),
        (b"0,5;0,1\n", "line 1: '0,5;0,1' is not of the form"),
        (b"0;0\n", "line 1: '0;0' is not of the form"),
        (b"# nothing\n\n0,0\n0,-2\n", r"line 4, column 2 \(throttle_brake\): -2\.0 is not in \[-1, 1\]"),
        (b"0,nan\n", r"line 1, column 2 \(throttle_brake\): nan is not in"),
        (b"steer,throttle_brake\n", "holds no actions"),
        ("0,0\n".encode("utf-16"), "is not UTF-8 text .* save it as CSV in UTF-8"),
    ],
)
def test_text_that_holds_no_actions(content, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_actions(tmp_path / "a.csv")
