"""What these tests drive: toy dreams whose futures are known, and the real program under SDL's dummy driver."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.viewer.app import App
from learned_sim_env.viewer.drive import InteractiveDrive
from learned_sim_env.viewer.policies import expert
from learned_sim_env.viewer.session import Session
from tests.toy_model import NeuralToy, toy_checkpoint


class Keyboard:
    """Presses the keys of an app, as pygame reports them, and lets it deal with them."""

    def __init__(self, app: App):
        import pygame

        self.app, self.pygame = app, pygame
        # What a window system says when a window opens.
        pygame.event.clear()

    def hold(self, *names: str) -> None:
        """Press keys and do not let go."""
        for name in names:
            key = self.pygame.key.key_code(name)
            typed = name if len(name) == 1 else ""
            self.pygame.event.post(self.pygame.event.Event(self.pygame.KEYDOWN, key=key, unicode=typed))

    def release(self, *names: str) -> None:
        """Let go of keys."""
        for name in names:
            self.pygame.event.post(self.pygame.event.Event(self.pygame.KEYUP, key=self.pygame.key.key_code(name)))

    def press(self, *names: str, typed: str | None = None) -> None:
        """Press and release keys one after the other, no time passing; `typed`: the character they give, if another."""
        for name in names:
            self.hold(name)
            if typed is not None:
                self.pygame.event.get()
                key = self.pygame.key.key_code(name)
                self.pygame.event.post(self.pygame.event.Event(self.pygame.KEYDOWN, key=key, unicode=typed))
            self.release(name)
            self.app.once(0.0)

    def wait(self, seconds: float) -> None:
        """Let time pass, or a little more, in pictures of 1/32 s, which floats hold exactly."""
        for _ in range(math.ceil(32 * seconds)):
            self.app.once(1 / 32)


@pytest.fixture
def dream() -> gym.Env:
    """A toy dream that has a recurrent state."""
    return LearnedDrivingEnv(toy_checkpoint(NeuralToy()))


@pytest.fixture
def session(dream) -> Session:
    """A drive in it."""
    return Session(dream, seed=0)


@pytest.fixture
def drive(session) -> Iterator[InteractiveDrive]:
    """The same with all around it."""
    made = InteractiveDrive(session, expert())
    yield made
    made.close()


@pytest.fixture
def app(drive, tmp_path, monkeypatch) -> Iterator[App]:
    """The program, a human at the wheel."""
    monkeypatch.chdir(tmp_path)
    drive.by_hand = True
    made = App(drive, Path("film.gif"), size=(800, 600))
    yield made
    made.close()


@pytest.fixture
def keyboard(app) -> Keyboard:
    """Its keyboard."""
    return Keyboard(app)


@pytest.fixture(scope="module")
def shipped() -> Iterator[gym.Env]:
    """The environment that ships."""
    import learned_sim_env  # noqa: F401  registers the ids

    env = gym.make("LearnedDriving-v0")
    yield env
    env.close()


def same(one: object, other: object) -> bool:
    """Whether two moments are alike, bit for bit."""
    from gymnasium.utils.env_checker import data_equivalence

    return data_equivalence(
        (one.observation, one.info, one.snapshot), (other.observation, other.info, other.snapshot), exact=True
    )


ACTION = np.array([0.25, 0.5], np.float32)
