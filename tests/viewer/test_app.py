"""The program under SDL's dummy driver: every key has its effect, and the window can go away at any time."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.viewer.app import App, unused
from learned_sim_env.viewer.drive import HELD, PACES, STRENGTHS
from learned_sim_env.viewer.replay import Replay
from learned_sim_env.viewer.tape import Tape
from tests.toy_model import CRASH
from tests.viewer.conftest import same

pygame = pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")


def steps(app: App) -> int:
    return app.drive.session.moment.info["imagined_steps"]


def note(app: App) -> str:
    return app.drive.frame().status.note


def said(app: App) -> list[str]:
    return [text for text, _, _ in app.board.painter.texts]


def test_time_passes_at_ten_steps_a_second(app, keyboard):
    keyboard.wait(3)
    assert steps(app) == 30
    assert len(app.display_times) == 96
    assert "imagined, 30 steps since real (3.0 s)" in said(app)


@pytest.mark.parametrize(
    ("keys", "index", "sign"),
    [
        ("left", 0, -1),
        ("a", 0, -1),
        ("right", 0, 1),
        ("d", 0, 1),
        ("up", 1, 1),
        ("w", 1, 1),
        ("down", 1, -1),
        ("s", 1, -1),
    ],
)
def test_arrows_and_wasd_steer_smoothly(keys, index, sign, app, keyboard):
    keyboard.hold(keys)
    path = []
    for _ in range(4):
        keyboard.wait(0.1)
        path.append(sign * float(app.drive.session.moment.action[index]))
    assert 0 < path[0] < path[-1]
    assert path == sorted(path)
    assert not app.drive.session.moment.action[1 - index]
    keyboard.release(keys)
    keyboard.wait(1)
    assert not app.drive.session.moment.action.any()


def test_keys_are_let_go_when_the_window_is_left(app, keyboard):
    keyboard.hold("up")
    keyboard.wait(0.5)
    pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    keyboard.wait(1)
    assert not app.drive.session.moment.action.any()


def test_a_controller_steers_until_a_key_is_held(app, keyboard, monkeypatch):
    monkeypatch.setattr(app.pad, "action", lambda speed: np.array([0.3, 0.6], np.float32))
    keyboard.wait(0.2)
    np.testing.assert_allclose(app.drive.session.moment.action, [0.3, 0.6])
    keyboard.hold("down")
    keyboard.wait(0.5)
    assert app.drive.session.moment.action[1] < 0


def test_m_hands_over_to_the_policy_and_back(app, keyboard):
    keyboard.wait(0.2)
    assert "you" in said(app)
    assert not app.drive.session.moment.action.any()
    keyboard.press("m")
    keyboard.wait(0.2)
    assert app.drive.policy.name in said(app)
    assert app.drive.session.moment.action.any()
    driving = app.drive.session.moment.action.copy()
    keyboard.press("m")
    # The wheel is where the policy had it, and moves on from there.
    np.testing.assert_array_equal(app.wheel.action, driving)
    keyboard.wait(2)
    assert not app.drive.session.moment.action.any()


def test_p_pauses(app, keyboard):
    keyboard.wait(0.5)
    keyboard.press("p")
    keyboard.wait(1)
    assert steps(app) == 5
    assert "PAUSED" in said(app)
    keyboard.press("p")
    keyboard.wait(0.5)
    assert steps(app) == 10
    assert "PAUSED" not in said(app)


def test_dot_takes_a_single_step(app, keyboard):
    keyboard.press(".", ".", ".")
    keyboard.wait(1)
    assert steps(app) == 3
    assert app.drive.paused


def test_brackets_change_the_pace(app, keyboard):
    keyboard.press("[")
    keyboard.wait(2)
    assert steps(app) == 10
    assert "5 steps/s" in said(app)
    keyboard.press("]", "]")
    keyboard.wait(1)
    assert steps(app) == 30
    for _ in PACES:
        keyboard.press("]")
    assert app.drive.rate == 10 * PACES[-1]


def test_r_begins_again(app, keyboard):
    first = app.drive.session.moment
    keyboard.wait(1)
    keyboard.press("r")
    assert same(app.drive.session.moment, first)


def test_shift_r_takes_another_chance(app, keyboard):
    first = app.drive.session.moment
    keyboard.press("r", typed="R")
    now = app.drive.session.moment
    assert now.info["context"] == first.info["context"]
    assert now.snapshot["seed"] != first.snapshot["seed"]
    assert f"context {now.info['context']}  seed 1" in said(app)


def test_n_goes_to_the_next_context(app, keyboard):
    before = app.drive.session.moment.info["context"]
    keyboard.press("n")
    assert app.drive.session.moment.info["context"] == (before + 1) % 40
    assert steps(app) == 0


@pytest.mark.parametrize("number", range(1, 10))
def test_numbers_choose_the_kind_of_place(number, app, keyboard):
    keyboard.wait(0.3)
    keyboard.press(str(number))
    tag = SCENARIO_TAGS[number - 1] if number <= 7 else None
    if tag in ("curve", None):
        assert steps(app) == 0
        assert note(app) == f"start: {tag or 'anywhere'}"
        assert tag is None or tag in app.drive.session.moment.info["scenario_tags"]
    else:  # the toy has curves only: that is said, and the drive goes on
        assert steps(app) == 3
        assert tag in note(app)


def test_b_marks_and_v_goes_back(app, keyboard):
    keyboard.press("v")
    assert "no mark yet" in note(app)
    keyboard.wait(0.5)
    keyboard.press("b")
    marked = app.drive.session.moment
    assert "at 0.5 s" in said(app)
    keyboard.wait(1)
    keyboard.press("v")
    assert app.drive.session.moment is marked
    keyboard.wait(0.2)
    assert steps(app) == 7


def test_z_rewinds_step_by_step_and_stops_the_time(app, keyboard):
    keyboard.wait(1)
    path = list(app.drive.session.moment.back())
    keyboard.press("z", "z", "z")
    assert app.drive.session.moment is path[3]
    keyboard.wait(1)
    assert steps(app) == 7
    # A key that is held comes again and again.
    for _ in range(20):
        keyboard.hold("z")
    keyboard.wait(0.1)
    assert steps(app) == 0
    assert note(app) == "this is where it began"


def test_other_keys_are_not_repeated(app, keyboard):
    for _ in range(4):
        keyboard.hold("p")
    keyboard.wait(0.1)
    assert app.drive.paused


def test_u_lays_other_futures_over_it(app, keyboard):
    keyboard.wait(1)
    without = app.drive.frame()
    keyboard.press("u")
    assert without.overlay is None
    assert app.drive.frame().overlay["bev"].any()
    assert "8 futures, 1.0 s apart" in said(app)
    keyboard.press("u")
    assert app.drive.frame().overlay is None


def test_l_perturbs_and_shift_l_says_how_strongly(app, keyboard):
    keyboard.wait(0.5)
    keyboard.press("p")
    before = app.drive.session.moment
    moved = []
    for _ in STRENGTHS:
        keyboard.press("l")
        after = app.drive.session.moment
        moved.append(float(np.abs(after.snapshot["state"]["h"] - before.snapshot["state"]["h"]).mean()))
        app.drive.session.restore(before)
        keyboard.press("l", typed="L")
    order = [STRENGTHS[(STRENGTHS.index(0.2) + i) % len(STRENGTHS)] for i in range(len(STRENGTHS))]
    np.testing.assert_allclose(np.array(moved) / moved[0], np.array(order) / order[0], rtol=1e-3)
    assert "strength 0.2" in said(app)


def test_c_changes_the_colours(app, keyboard):
    before = pygame.surfarray.array3d(app.display.surface)
    keyboard.press("p", "c")
    assert note(app) == "colours: colour-blind safe"
    view = app.board.layout.views["bev"]
    middle = view.x + view.width // 2, view.y + view.height // 2
    assert not np.array_equal(pygame.surfarray.array3d(app.display.surface)[middle], before[middle])
    keyboard.press("c")
    assert app.drive.palette == "standard"


def test_g_records_and_stops(app, keyboard, tmp_path):
    keyboard.press("g")
    assert "REC" in said(app)
    keyboard.wait(1)
    keyboard.press("g")
    assert "REC" not in said(app)
    assert {path.name for path in tmp_path.iterdir()} == {"film.gif", "film.npz", "film.png"}
    assert len(Tape.load(tmp_path / "film.npz")) == 11
    # The next one takes nothing's place.
    keyboard.press("g")
    keyboard.wait(0.5)
    keyboard.press("g")
    assert len(Tape.load(tmp_path / "film-2.npz")) == 6
    assert note(app) == "written: film-2.gif"


def test_f_fills_the_screen_and_comes_back(app, keyboard):
    windowed = app.display.size
    keyboard.press("f")
    assert app.display.full_screen
    assert pygame.display.get_surface().get_flags() & pygame.FULLSCREEN
    keyboard.press("f")
    assert not pygame.display.get_surface().get_flags() & pygame.FULLSCREEN
    assert app.display.size == windowed


@pytest.mark.parametrize(("name", "typed"), [("f1", None), ("/", "?")])
def test_f1_or_question_mark_shows_the_keys(name, typed, app, keyboard):
    keyboard.press(name, typed=typed)
    assert "rewind, step by step" in said(app)
    keyboard.press(name, typed=typed)
    assert "rewind, step by step" not in said(app)


@pytest.mark.parametrize("how", ["escape", "closed"])
@pytest.mark.parametrize("state", ["driving", "paused", "ended", "recording", "help"])
def test_it_can_be_closed_in_any_state(how, state, app, keyboard, tmp_path):
    keyboard.wait(0.3)
    if state == "ended":
        app._action = CRASH
        app.drive.tick()
        assert app.drive.session.moment.over
    elif state != "driving":
        keyboard.press({"paused": "p", "recording": "g", "help": "f1"}[state])
    if how == "escape":
        keyboard.hold("escape")
    else:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
    app.run()
    assert not app.running
    assert pygame.display.get_surface() is None
    assert (tmp_path / "film.npz").exists() == (state == "recording")
    app.close()


def test_the_end_is_shown_and_waits_for_the_driver(app, keyboard):
    app._action = CRASH
    app.drive.tick()
    keyboard.wait(4)
    assert "COLLISION" in said(app)
    assert steps(app) == 1
    keyboard.press("z")
    assert "COLLISION" not in said(app)


def test_a_policy_goes_on_after_the_end(app, keyboard):
    app._action = CRASH
    app.drive.tick()
    context = app.drive.session.moment.info["context"]
    keyboard.press("m")
    keyboard.wait((HELD - 2) / 10)
    assert app.drive.session.moment.over
    keyboard.wait(0.5)
    assert app.drive.session.moment.info["context"] == (context + 1) % 40


def test_it_ends_after_the_steps_that_were_asked_for(drive):
    app = App(drive, None, steps=3, size=(640, 480))
    app.run()
    assert drive.steps == 3
    assert pygame.display.get_surface() is None


def test_the_window_can_be_resized(app, keyboard):
    for size in ((1000, 700), (300, 200), (2000, 1500)):
        pygame.display.set_mode(size, pygame.RESIZABLE)
        pygame.event.post(pygame.event.Event(pygame.VIDEORESIZE, size=size, w=size[0], h=size[1]))
        keyboard.wait(0.1)
        assert app.board.layout.size == (max(size[0], 640), max(size[1], 480))
        assert pygame.surfarray.array3d(pygame.display.get_surface()).std() > 5
        assert app.board.painter.cut == []


def test_a_window_that_is_lost_ends_it_with_the_recording_saved(app, keyboard, tmp_path, monkeypatch):
    keyboard.press("g")
    keyboard.wait(0.5)

    def gone() -> None:
        raise pygame.error("video system not initialized")

    monkeypatch.setattr(pygame.display, "flip", gone)
    with pytest.raises(ValueError, match=r"the window is lost.*film\.gif"):
        app.run()
    assert len(Tape.load(tmp_path / "film.npz")) >= 6


def test_what_cannot_be_done_is_said(app, keyboard):
    keyboard.press("t")
    assert note(app) == "this environment declares no twin"
    keyboard.wait(0.3)
    assert steps(app) == 3


def test_a_recording_is_shown_again_and_can_be_driven_on(app, keyboard, tmp_path):
    keyboard.press("g")
    keyboard.wait(1)
    keyboard.press("g")
    tape, here = Tape.load(tmp_path / "film.npz"), app.drive.session.moment
    app.drive.script = Replay(tape, app.drive.session).frames()
    keyboard.wait(0.6)
    assert steps(app) == 5
    assert "REC" not in said(app)
    keyboard.wait(1)
    assert same(app.drive.session.moment, here)
    assert app.drive.paused
    assert "drive on from here" in note(app)
    keyboard.press("p")
    keyboard.wait(0.5)
    assert steps(app) == 15


def test_taking_the_wheel_ends_a_replay(app, keyboard, tmp_path):
    keyboard.press("g")
    keyboard.wait(1)
    keyboard.press("g")
    app.drive.script = Replay(Tape.load(tmp_path / "film.npz"), app.drive.session).frames()
    keyboard.wait(0.6)
    keyboard.press("m")
    keyboard.wait(1)
    assert steps(app) == 15
    assert app.drive.script is None


def test_a_slow_machine_does_not_fall_behind_for_ever(app, keyboard):
    app.once(100.0)
    assert steps(app) == 3
    app.once(0.0)
    assert steps(app) == 3


def test_unused_names(tmp_path):
    assert unused(tmp_path / "a.gif").name == "a.gif"
    (tmp_path / "a.npz").touch()
    (tmp_path / "a-2.gif").touch()
    assert unused(tmp_path / "a.gif").name == "a-3.gif"
