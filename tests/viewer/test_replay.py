"""A recording is driven again bit for bit, whatever happened in it, and its film has every frame."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from learned_sim_env.display.board import Board, picture_of
from learned_sim_env.viewer import saved_drive as record
from learned_sim_env.viewer.drive import InteractiveDrive
from learned_sim_env.viewer.offline import drive_for, replay_all
from learned_sim_env.viewer.policies import expert
from learned_sim_env.viewer.replay import Given, Replay
from learned_sim_env.viewer.saved_drive import SIZES, film_path
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.tape import Tape
from learned_sim_env.viewer.tape_format import HOLD, JUMP, STEP
from tests.toy_model import CRASH
from tests.viewer.conftest import ACTION

pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")


class Film(list):
    """Stands for the encoder: keeps every picture as it came."""

    def __init__(self, path, fps):
        super().__init__()
        Film.last = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def add(self, picture):
        self.append(picture)


@pytest.fixture
def kept(monkeypatch):
    """Pictures are kept instead of encoded."""
    monkeypatch.setattr(record, "Film", Film)


def eventful(shipped, path, before: int = 5) -> InteractiveDrive:
    """A recorded drive in the shipped model that does all that a session can, begun in the middle of an episode."""
    session = Session(shipped, seed=1, scenario="roundabout")
    drive = InteractiveDrive(session, expert())
    for _ in range(before):
        drive.tick()
    drive.record(path)
    for _ in range(12):
        drive.tick()
    session.set_mark()
    drive.toggle_overlay()
    for _ in range(8):
        drive.tick()
    for _ in range(4):
        session.rewind()
        drive.jumped("rewound")
    drive.next_palette()
    drive.tick()
    session.perturb(0.2)
    drive.jumped("perturbed")
    drive.tick()
    session.return_to_mark()
    drive.jumped("back at the mark")
    for _ in range(3):
        drive.tick()
    session.another_chance()
    drive.jumped("another chance")
    drive.toggle_overlay()
    drive.tick()
    drive.policy = Given(np.tile(np.array([[1.0, 1.0]], np.float32), (60, 1)), expert())
    while not session.moment.over:
        drive.tick()
    for _ in range(20):
        drive.tick()
    drive.close()
    return drive


def test_every_frame_comes_again_bit_for_bit(shipped, tmp_path, kept):
    eventful(shipped, tmp_path / "one.gif")
    pictures = Film.last
    tape = Tape.load(tmp_path / "one.npz")
    kinds = tape.arrays["kind"]
    assert len(tape) == len(pictures) > 60
    assert set(kinds.tolist()) == {STEP, JUMP, HOLD}
    assert (kinds == JUMP).sum() == len(tape.arrays["snapshot/step"]) == 9
    # In another session, which has been elsewhere.
    session = Session(shipped, seed=99, scenario="merge")
    replay = Replay(tape, session)
    board, size = Board(), SIZES[".gif"]
    again = [picture_of(board, frame, size) for _, frame in replay.frames()]
    assert replay.first_deviation == -1
    assert [i for i, (a, b) in enumerate(zip(again, pictures)) if not np.array_equal(a, b)] == []
    # Not because they are all alike.
    assert len({picture.tobytes() for picture in pictures}) > 40


def test_files_of_a_replay_are_the_same_files(shipped, tmp_path):
    eventful(shipped, tmp_path / "one.gif")
    drive = InteractiveDrive(Session(shipped, seed=99), expert())
    drive.record(tmp_path / "other.gif", begin=False)
    for _ in replay_all(drive, Replay(Tape.load(tmp_path / "one.npz"), drive.session)):
        pass
    drive.close()
    for suffix in (".gif", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()
    one, other = (Tape.load(tmp_path / f"{name}.npz").arrays for name in ("one", "other"))
    differ = [name for name in one if not np.array_equal(one[name], other[name])]
    assert [name for name in differ if not name.startswith("overlay")] == []


def test_a_tape_tells_actions_seeds_and_rewards(session, tmp_path, kept):
    drive = InteractiveDrive(session, Given(np.stack([ACTION, CRASH]), expert()))
    drive.record(tmp_path / "a.gif")
    moments = []
    for _ in range(2):
        drive.tick()
        moments.append(session.moment)
    drive.close()
    arrays = Tape.load(tmp_path / "a.npz").arrays
    assert arrays["action"].tolist() == [[0, 0], ACTION.tolist(), CRASH.tolist()]
    assert arrays["reward"].tolist() == [0.0, *(moment.reward for moment in moments)]
    assert arrays["cost"].tolist() == [0.0, 0.0, 1.0]
    assert arrays["end_reason"].tolist() == ["", "", "collision"]
    assert arrays["seed"].tolist() == [0, 0, 0]
    assert arrays["step"].tolist() == [0, 1, 2]
    assert len(np.unique(arrays["crc/bev"])) > 1


def test_a_deviation_is_found(session, tmp_path, kept):
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.gif")
    for _ in drive_for(drive, 6):
        pass
    drive.close()
    tape = Tape.load(tmp_path / "a.npz")
    tape.arrays["reward"][4] += 1e-12
    replay = Replay(tape, session)
    assert len(list(replay.frames())) == 7
    assert replay.first_deviation == 4


def test_a_tape_of_another_checkpoint_is_refused(session, shipped, tmp_path, kept):
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.gif")
    drive.close()
    with pytest.raises(ValueError, match="belongs to checkpoint toy"):
        list(Replay(Tape.load(tmp_path / "a.npz"), Session(shipped)).frames())


def test_no_frame_is_lost_to_a_slow_encoder(session, tmp_path, monkeypatch):
    import time

    class Slow(Film):
        def add(self, picture):
            time.sleep(0.02)
            super().add(picture)

    monkeypatch.setattr(record, "Film", Slow)
    monkeypatch.setattr(record, "WAITING", 2)
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.gif")
    for _ in drive_for(drive, 30):
        pass
    drive.close()
    assert len(Film.last) == len(Tape.load(tmp_path / "a.npz")) == 31


def test_a_film_that_fails_is_said_and_the_tape_is_saved(session, tmp_path, monkeypatch):
    class Broken(Film):
        def add(self, picture):
            if len(self) == 3:
                raise OSError("no space left on device")
            super().add(picture)

    monkeypatch.setattr(record, "Film", Broken)
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.gif")
    for _ in drive_for(drive, 40):
        pass
    assert "no space left" in drive.frame().status.note
    with pytest.raises(ValueError, match=r"no space left on device\); .*a\.npz can be replayed"):
        drive.close()
    assert len(Tape.load(tmp_path / "a.npz")) == 41


def test_films_have_every_frame(session, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs the extra [viewer]")
    drive = InteractiveDrive(session, expert(), fps=20)
    drive.record(tmp_path / "a.gif")
    for _ in drive_for(drive, 12):
        pass
    drive.close()
    with image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (13, SIZES[".gif"], 50)
    with image.open(tmp_path / "a.png") as picture:
        assert picture.size == SIZES[".gif"]


def test_mp4(session, tmp_path):
    imageio = pytest.importorskip("imageio.v2", reason="needs the extra [viewer]")
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra [viewer]")
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.mp4")
    for _ in drive_for(drive, 5):
        pass
    drive.close()
    with imageio.get_reader(tmp_path / "a.mp4") as film:
        seen = [np.asarray(frame) for frame in film]
    assert len(seen) == 6
    assert seen[0].shape == (*SIZES[".mp4"][::-1], 3)


def test_without_the_encoder_a_gif_is_written_and_said(tmp_path, monkeypatch):
    for module in ("imageio", "imageio.v2", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, module, None)
    path, said = film_path(tmp_path / "a.mp4")
    assert path == tmp_path / "a.gif"
    assert said.startswith("a GIF instead of an MP4: imageio")
    assert film_path(tmp_path / "a.gif") == (tmp_path / "a.gif", "")
    with pytest.raises(ValueError, match=r"Did you mean '\.mp4'"):
        film_path(tmp_path / "a.mp5")


def test_a_recording_without_a_frame_leaves_nothing(session, tmp_path):
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.gif", begin=False)
    assert drive.stop_recording() == []
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_recordings(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no recording .*a\.npz"):
        Tape.load(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match="is not the recording of a drive"):
        Tape.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", actions=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="is not the recording of a drive"):
        Tape.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", about=np.array('{"format": 99, "version": "9.9"}'))
    with pytest.raises(ValueError, match=r"format 99.*version '9\.9'"):
        Tape.load(tmp_path / "c.npz")


def test_a_tape_is_whole_or_refused(session, tmp_path, kept):
    drive = InteractiveDrive(session, expert())
    drive.record(tmp_path / "a.gif")
    for _ in drive_for(drive, 3):
        pass
    drive.close()
    whole = Tape.load(tmp_path / "a.npz")
    assert whole.about["snapshot"] == 2
    spoilt = {name: {n: v for n, v in whole.arrays.items() if n != name} for name in whole.arrays if "/" not in name}
    for name in ("status/note", "snapshot/seed", "snapshot/step"):
        spoilt[name] = {n: v for n, v in whole.arrays.items() if n != name}
    for name, arrays in spoilt.items():
        with pytest.raises(ValueError, match=f"is not a whole recording: it lacks {name}"):
            Tape.load(Tape(whole.about, arrays).save(tmp_path / "b.npz"))
    a = whole.arrays
    for other, message in (
        ({"reward": a["reward"][1:]}, "reward is float64 of shape"),
        ({"action": a["action"][:, :1]}, "action is float32 of shape"),
        ({"jump": a["jump"] + 7}, "jump holds 6..7, of 1"),
        ({"overlay": a["overlay"] + 1}, "overlay holds 0..0, of 0"),
        ({"snapshot/seed": np.zeros(2, int)}, "snapshot/seed has 2 entries, not 1"),
        ({"trail": np.zeros(9)}, "trail_start does not divide trail"),
        ({"jump": a["jump"] * 0 - 1}, "a jump has no snapshot"),
    ):
        with pytest.raises(ValueError, match=message):
            Tape.load(Tape(whole.about, {**a, **other}).save(tmp_path / "b.npz"))
    spoilt_state = {n: v for n, v in a.items() if n != "snapshot/state/z"}
    with pytest.raises(ValueError, match="state lacks 'z'"):
        list(Replay(Tape(whole.about, spoilt_state), session).frames())


def test_given_actions_then_another_driver(session):
    given = Given(np.stack([ACTION, CRASH]), expert())
    assert given.name == "given actions"
    assert given(session).tolist() == ACTION.tolist()
    assert given(session).tolist() == CRASH.tolist()
    assert given.name == expert().name
    assert np.array_equal(given(session), expert()(session))
