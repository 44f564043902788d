"""A model that sees and draws cameras alone, and remembers otherwise than the RSSM, is driven like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.rendering.camera import CONDITIONS, Appearance
from learned_sim_env.viewer.app import App
from learned_sim_env.viewer.drive import InteractiveDrive
from learned_sim_env.viewer.futures import FutureBundles, disagreement
from learned_sim_env.viewer.policies import expert, open_policy
from learned_sim_env.viewer.replay import Given, Replay
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.tape import Tape
from tests.toy_model import toy_camera_checkpoint
from tests.viewer.conftest import ACTION, Keyboard, same

pygame = pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")

ABREAST = ("left", "front", "right")


@pytest.fixture
def dream() -> LearnedDrivingEnv:
    return LearnedDrivingEnv(toy_camera_checkpoint(), modalities=("front", "left", "right", "ego"))


@pytest.fixture
def drive(session, simulator):
    made = InteractiveDrive(session, expert(), open_twin=simulator)
    yield made
    made.close()


@pytest.fixture
def simulator(toy):
    pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")
    return lambda: TwinDrivingEnv("toy", contract="driving-camera", max_episode_steps=1_000_000)


@pytest.fixture
def app(drive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drive.by_hand = True
    made = App(drive, tmp_path / "film.gif", size=(800, 600))
    yield made
    made.close()


@pytest.fixture
def keyboard(app) -> Keyboard:
    return Keyboard(app)


def said(app: App) -> list[str]:
    return [text for text, _, _ in app.board.painter.texts]


def on_screen(app: App, rect) -> np.ndarray:
    return pygame.surfarray.array3d(app.display.surface)[rect.x : rect.right, rect.y : rect.bottom]


def test_cameras_stand_as_a_driver_sees_them(app, keyboard):
    keyboard.wait(1)
    layout, moment = app.board.layout, app.drive.session.moment
    assert moment.info["imagined_steps"] == 10
    assert tuple(layout.views) == tuple(moment.views) == ABREAST
    left, front, right = (layout.views[name] for name in ABREAST)
    assert left.right < front.x < front.right < right.x
    assert front.width == pytest.approx(2 * left.width, abs=2) and left.width == right.width
    for rect in (left, right):  # their horizons are at one height
        assert rect.y + rect.height // 2 == pytest.approx(front.y + front.height // 2, abs=2)
    for name, rect in layout.views.items():
        assert (on_screen(app, rect) == moment.views[name][0, 0]).all(), name
    assert len({tuple(moment.views[name][0, 0]) for name in ABREAST}) == 3


def test_it_can_be_rewound_marked_and_driven_again(app, keyboard):
    keyboard.wait(1)
    path = list(app.drive.session.moment.back())
    keyboard.press("z", "z", "z", "b")
    assert app.drive.session.moment is path[3]
    app._action = ACTION
    keyboard.press("p")
    keyboard.wait(0.5)
    one = list(app.drive.session.moment.back())[:5]
    keyboard.press("v")
    keyboard.wait(0.5)
    assert all(same(a, b) for a, b in zip(one, list(app.drive.session.moment.back())[:5]))
    keyboard.press("r")
    assert same(app.drive.session.moment, path[-1])


def test_what_it_cannot_do_is_not_applicable(app, keyboard):
    keyboard.wait(0.3)
    before = app.drive.session.moment
    keyboard.press("l")
    assert "not applicable: this model has no recurrent state to perturb" in said(app)
    assert app.drive.session.moment is before
    keyboard.press("l", typed="L")
    keyboard.press("f1", "f1")
    assert "not applicable" in said(app)
    keyboard.press("e")
    assert any(text.startswith("not applicable: T shows a simulator") for text in said(app))


def test_other_futures_tint_the_middle_camera(app, keyboard):
    keyboard.wait(1)
    keyboard.press("p")
    plain = {name: on_screen(app, rect).copy() for name, rect in app.board.layout.views.items()}
    keyboard.press("u")
    overlay = app.drive.frame().overlay
    assert tuple(overlay) == ("front",)
    assert overlay["front"].shape == (64, 96)
    assert overlay["front"].any()
    changed = [n for n, rect in app.board.layout.views.items() if not np.array_equal(on_screen(app, rect), plain[n])]
    assert changed == ["front"]


def test_disagreement_of_colours_and_of_classes():
    view = np.zeros((2, 3, 3), np.uint8)
    others = np.stack([view, view + 64])
    others[1, 0] = 255
    assert disagreement(view, others).tolist() == [[255] * 3, [128] * 3]
    ids = np.zeros((1, 2), np.uint8)
    assert disagreement(ids, np.array([[[0, 1]], [[0, 2]], [[0, 0]], [[3, 7]]], np.uint8)).tolist() == [[64, 191]]


def test_without_chance_futures_agree():
    names = ("front", "left", "right", "ego")
    session = Session(LearnedDrivingEnv(toy_camera_checkpoint(), modalities=names, temperature=0), seed=0)
    futures = FutureBundles(session.env)
    for _ in range(5):
        session.step(ACTION)
        overlay, _ = futures.overlay(session.moment)
        assert not overlay["front"].any()


def test_a_recording_is_driven_again_bit_for_bit(drive, session, tmp_path):
    drive.record(tmp_path / "a.gif")
    drive.policy = Given(np.random.default_rng(0).uniform(-0.9, 0.9, (9, 2)).astype(np.float32), expert())
    drive.toggle_overlay()
    for _ in range(6):
        drive.tick()
    session.rewind()
    drive.jumped("rewound")
    for _ in range(3):
        drive.tick()
    drive.close()
    tape = Tape.load(tmp_path / "a.npz")
    assert {"crc/left", "crc/front", "crc/right", "overlay_view/front"} <= set(tape.arrays)
    other = Session(session.env, seed=9)
    replay = Replay(tape, other)
    frames = [frame for _, frame in replay.frames()]
    assert len(frames) == len(tape) == 11
    assert replay.first_deviation == -1
    assert all(tuple(frame.views) == ABREAST for frame in frames)
    tape.arrays["crc/right"][4] ^= 1
    replay = Replay(tape, other)
    list(replay.frames())
    assert replay.first_deviation == 4


def test_the_simulator_shows_the_same_cameras_in_any_light(app, keyboard, tmp_path):
    keyboard.wait(0.3)
    keyboard.press("g", "t")
    while app.drive.work(1.0):
        pass
    keyboard.wait(0.2)
    twin, layout = app.drive.session.moment.twin, app.board.layout
    assert tuple(twin.views) == tuple(layout.twin_views) == ABREAST
    assert layout.views["front"].bottom < layout.twin_views["front"].y
    assert "PSNR [dB]" in said(app)
    keyboard.press("p")
    by_day = None
    for condition in ("clear", "overcast", "dusk", "night"):
        keyboard.press("e")
        assert f"the simulator: {condition}" in said(app)
        by_day = app.drive.session.moment.twin if by_day is None else by_day
    by_night = app.drive.session.moment.twin
    assert by_night.speed == by_day.speed
    assert by_night.views["front"].mean() < 0.6 * by_day.views["front"].mean()
    # Driven there again, it is still night, and it is the same moment for all that.
    keyboard.press("z", "p")
    keyboard.wait(0.1)
    while app.drive.work(1.0):
        pass
    keyboard.wait(0.3)
    assert app.drive.frame().twin_wanted
    assert app.drive.session.moment.twin.views["front"].mean() < 0.6 * by_day.views["front"].mean()
    keyboard.press("g")
    tape = Tape.load(tmp_path / "film.npz")
    assert tape.arrays["twin_view/left"].shape[1:] == (64, 96, 3)
    shown = [frame.twin for _, frame in Replay(tape, app.drive.session).frames() if frame.twin is not None]
    assert np.array_equal(shown[-1].views["front"], tape.arrays["twin_view/front"][-1])


def test_a_dream_begins_in_every_light_that_a_context_has(app, keyboard):
    session = app.drive.session
    looks = [Appearance.draw(int(seed)).condition for seed in session.contexts.scenarios]
    there = [condition for condition in CONDITIONS if condition in looks]
    assert len(there) > 1, "or there is nothing to choose"
    session._begin({"context": looks.index(there[-1])})
    for condition in there:
        keyboard.press("e", typed="E")
        assert session.look == condition and looks[session.moment.info["context"]] == condition
        assert f"the dream: {condition}" in said(app)
    # Without another light, nothing happens but a word.
    contexts = replace(session.contexts, scenarios=np.full(len(looks), session.contexts.scenarios[0]))
    session.env.unwrapped.checkpoint.contexts = contexts
    before = session.moment
    keyboard.press("e", typed="E")
    assert session.moment is before and any("look alike" in text for text in said(app))


def test_policies_that_need_the_view_from_above_are_refused(session):
    assert open_policy("human", session).name == "expert (route follower)"
    assert open_policy("follow-8", session)(session).shape == (2,)
    for name in ("dream", "careful", "idm"):
        with pytest.raises(ValueError, match=f"policy {name} needs the view from above.* --policy expert"):
            open_policy(name, session)


def test_its_window_shows_them_too():
    env = LearnedDrivingEnv(toy_camera_checkpoint(), modalities=("front", "left", "right", "ego"), render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 10_000}
    env.reset(seed=0)
    assert tuple(env._window._board.layout.views) == ABREAST
    env.close()
