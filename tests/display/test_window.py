"""Render mode "human" shows the viewer's picture of whatever environment it is."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.display.layout import WATCHING
from learned_sim_env.display.theme import theme
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from tests.toy_model import IDLE, NeuralToy, toy_checkpoint

pygame = pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")


def make(**settings) -> LearnedDrivingEnv:
    env = LearnedDrivingEnv(toy_checkpoint(NeuralToy()), render_mode="human", **settings)
    env.metadata = {**env.metadata, "render_fps": 10_000}
    return env


def board(env):
    return env._window._board


def said(env) -> list[str]:
    return [text for text, _, _ in board(env).painter.texts]


def test_a_dream_is_shown_with_its_panels():
    env = make()
    observation, _ = env.reset(seed=0)
    assert "real start, as the model remembers it" in said(env)
    for _ in range(4):
        observation, *_ = env.step(IDLE)
    assert tuple(board(env).layout.panels) == WATCHING
    assert "imagined, 4 steps since real (0.4 s)" in said(env)
    view = board(env).layout.views["bev"]
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    factor = board(env).layout.views["bev"].width // 64
    assert np.array_equal(shown[view.y : view.bottom : factor, view.x : view.right : factor], observation["bev"])
    env.close()


def test_uncertainty_is_remembered_once_a_step():
    env = make()
    env.reset(seed=0)
    lengths = []
    for _ in range(3):
        env.step(IDLE)
        env.render()
        lengths.append(len(env._window._trail))
    assert lengths == [2, 3, 4]
    snapshot = env.snapshot()
    env.reset(seed=1)
    assert len(env._window._trail) == 1
    env.restore(snapshot)
    assert len(env._window._trail) == 1
    env.close()


def test_a_simulator_is_said_to_be_real(toy):
    env = TwinDrivingEnv("toy", render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 10_000}
    env.reset(seed=0)
    total = sum(env.step(np.array([0.0, 0.5], np.float32))[1] for _ in range(3))
    assert {"real: toy", "always real", "none: a simulator knows", "5.0 m/s"} <= set(said(env))
    assert any(text.endswith(f"episode {total:+.1f}") for text in said(env))
    env.close()


def test_cameras_of_a_simulator_and_its_view_from_above(toy):
    env = TwinDrivingEnv("toy", contract="driving-camera", render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 10_000}
    env.reset(seed=0)
    assert tuple(board(env).layout.views) == ("left", "front", "right", "bev")
    assert board(env).layout.main == "front"
    assert "real: toy" in said(env)
    env.close()


def test_many_rows_are_shown_side_by_side():
    envs = LearnedDrivingVectorEnv(6, toy_checkpoint(NeuralToy()), render_mode="human")
    observations, _ = envs.reset(seed=0)
    shown = pygame.surfarray.array3d(pygame.display.get_surface())
    colours = {tuple(c) for c in observations["bev"][:, 0, 0].tolist()}
    assert colours <= {tuple(c) for c in shown[::4, ::4].reshape(-1, 3).tolist()}
    envs.close()


@pytest.mark.parametrize("how", ["escape", "closed"])
def test_closed_by_its_user_it_stays_closed(how):
    env = make()
    env.reset(seed=0)
    key = pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE, unicode="")
    pygame.event.post(key if how == "escape" else pygame.event.Event(pygame.QUIT))
    env.step(IDLE)
    assert pygame.display.get_surface() is None
    env.step(IDLE)
    assert pygame.display.get_surface() is None
    env.close()


def test_its_keys():
    env = make()
    env.reset(seed=0)
    for key in (pygame.K_c, pygame.K_f):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, unicode=""))
    env.step(IDLE)
    env.step(IDLE)
    assert pygame.display.get_surface().get_flags() & pygame.FULLSCREEN
    view = board(env).layout.views["bev"]
    middle = pygame.display.get_surface().get_at((view.x + view.width // 2, view.y + 2))[:3]
    assert middle in {tuple(c) for c in theme("colour-blind safe").classes.tolist()}
    env.close()


def test_two_share_the_window_and_closing_one_leaves_the_other():
    first, second = make(), make()
    first.reset(seed=0)
    whole = board(first).layout
    second.reset(seed=1)
    observation, *_ = first.step(IDLE)
    screen = pygame.display.get_surface()
    halves = [pygame.surfarray.array3d(screen)[part] for part in (np.s_[: screen.get_width() // 2], np.s_[-9:])]
    assert all(half.std() > 5 for half in halves)
    second.close()
    observation, *_ = first.step(IDLE)
    assert board(first).layout.views == whole.views
    view, factor = board(first).layout.views["bev"], board(first).layout.views["bev"].width // 64
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert np.array_equal(shown[view.y : view.bottom : factor, view.x : view.right : factor], observation["bev"])
    first.close()
    assert not pygame.display.get_init()


def test_a_window_that_its_user_closes_is_closed_for_all_that_share_it():
    first, second = make(), make()
    first.reset(seed=0), second.reset(seed=1)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    first.step(IDLE)
    second.step(IDLE)
    assert pygame.display.get_surface() is None
    first.close(), second.close()


def test_a_window_of_the_programs_own_is_left_alone():
    theirs = pygame.display.set_mode((123, 45))
    theirs.fill((1, 2, 3))
    env = make()
    with pytest.warns(UserWarning, match="nothing is shown: this program has a window"):
        env.reset(seed=0)
    env.step(IDLE)
    env.close()
    assert pygame.display.get_surface() is theirs
    assert (theirs.get_size(), theirs.get_at((0, 0))[:3]) == ((123, 45), (1, 2, 3))
    pygame.display.quit()


@pytest.mark.parametrize("reopened", [False, True])
def test_driving_goes_on_when_pygame_was_quit(reopened):
    env = make()
    env.reset(seed=0)
    pygame.quit()
    theirs = pygame.display.set_mode((123, 45)) if reopened else None
    for _ in range(2):
        env.step(IDLE)
    env.close()
    assert pygame.display.get_surface() is theirs
    again = make()
    pygame.display.quit()
    again.reset(seed=0)
    assert pygame.display.get_surface() is not None
    again.close()


def test_what_was_initialised_before_stays_so():
    pygame.display.init()
    env = make()
    env.reset(seed=0)
    env.close()
    assert pygame.display.get_init() and pygame.display.get_surface() is None
    pygame.display.quit()
