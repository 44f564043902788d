"""The simulator comes to whatever moment the dream stands at, by driving there."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.scene import SimulatorError
from learned_sim_env.viewer.drive import HELD, InteractiveDrive
from learned_sim_env.viewer.policies import expert
from learned_sim_env.viewer.replay import Given
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.tape import Tape
from learned_sim_env.viewer.twin_follower import TwinFollower
from tests.toy_model import NeuralToy, ToyContexts, toy_checkpoint
from tests.toy_simulator import ToySimulator
from tests.viewer.conftest import ACTION

pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")


STEPS = 3  # that lead to a context of the toy


class DrivenContexts(ToyContexts):
    """Contexts of the toy that know how they were reached: three steps at half throttle, in scenario 10 i."""

    def __init__(self):
        super().__init__()
        # What the toy simulator shows there; but for the corner, from which the toy model reads its state.
        semantic, simulator = self.observations["bev"], TwinDrivingEnv("toy")
        corner = semantic[:, :, 0, 0].copy()
        for i in range(len(self)):
            simulator.reset(seed=10 * i)
            self.ego[i] = simulator.ego_vector
            for t, action in enumerate(self.replay_actions(i), start=-STEPS):
                simulator.step(action)
                self.ego[i, t] = simulator.ego_vector
            semantic[i] = simulator.semantic
        semantic[:, :, 0, 0] = corner
        self.scenarios = np.arange(len(self)) * 10

    def replay_actions(self, index):
        return np.tile(np.array([[0.0, 0.5]], np.float32), (STEPS, 1))


@pytest.fixture
def simulator(toy):
    return lambda: TwinDrivingEnv("toy", max_episode_steps=1_000_000)


@pytest.fixture
def session(simulator) -> Session:
    checkpoint = toy_checkpoint(NeuralToy())
    checkpoint.contexts = DrivenContexts()
    return Session(LearnedDrivingEnv(checkpoint), seed=0)


@pytest.fixture
def drive(session, simulator):
    made = InteractiveDrive(session, Given(np.tile(ACTION, (500, 1)), expert()), open_twin=simulator)
    yield made
    made.close()


def arrive(drive: InteractiveDrive) -> None:
    while drive.work(1.0):
        pass


def place(drive: InteractiveDrive) -> float:
    return drive.twin.follower._twin.scene.ego.x


def test_it_is_driven_to_the_moment_of_the_dream(drive, session):
    for _ in range(4):
        drive.tick()
    drive.twin.toggle()
    # On its way it does not hold up the display, and nothing is shown of it.
    assert drive.work(0.0)
    assert "on its way" in drive.frame().status.note
    assert drive.frame().twin_wanted
    assert drive.frame().twin is None
    drive.tick()
    assert session.moment.info["imagined_steps"] == 4
    arrive(drive)
    calls = drive.twin.follower._twin.simulator.calls
    assert calls[0][1] == session.contexts.scenarios[session.moment.info["context"]]
    taken = np.stack([action for _, action in calls[1:]])
    np.testing.assert_array_equal(taken[:STEPS], session.contexts.replay_actions(0))
    np.testing.assert_array_equal(taken[STEPS:], np.tile(ACTION, (4, 1)))
    shown = drive.frame().twin
    assert shown.speed == pytest.approx(5.0)
    assert shown.views["bev"].shape == (64, 64)


def test_it_steps_with_the_dream(drive, session):
    drive.twin.toggle()
    arrive(drive)
    start = place(drive)
    for _ in range(5):
        drive.tick()
    assert session.moment.info["imagined_steps"] == 5
    assert place(drive) == pytest.approx(start + 5 * 0.5, abs=0.2)
    path = [moment.twin.reward_total for moment in session.moment.since_start()]
    assert path[0] == 0.0
    assert path == sorted(path)
    ahead = session.moment.pose[:2] - drive.twin.follower._pose[:2]
    assert session.moment.twin.apart == pytest.approx(np.hypot(*ahead))


def test_what_was_seen_is_kept_and_driving_on_goes_back_there(drive, session):
    drive.twin.toggle()
    arrive(drive)
    for _ in range(6):
        drive.tick()
    there = session.moment.twin
    for _ in range(3):
        session.rewind()
        drive.jumped("rewound")
    assert drive.frame().twin is session.moment.twin is not None
    before = len(drive.twin.follower._twin.simulator.calls)
    for _ in range(3):
        drive.tick()
        arrive(drive)
        drive.tick()
        if session.moment.info["imagined_steps"] == 6:
            break
    assert len(drive.twin.follower._twin.simulator.calls) > before
    assert np.array_equal(session.moment.twin.views["bev"], there.views["bev"])
    assert session.moment.twin.reward_total == pytest.approx(there.reward_total)


def test_it_may_end_before_the_dream(drive, session, monkeypatch):
    drive.policy = Given(np.tile(np.array([[-0.9, 0.9]], np.float32), (200, 1)), expert())
    drive.twin.toggle()
    arrive(drive)
    for _ in range(60):
        drive.tick()
        if session.moment.twin.end_reason:
            break
    assert session.moment.twin.end_reason == "off_road"
    assert not session.moment.over
    frozen = session.moment.twin
    drive.tick()
    assert session.moment.twin.end_reason == "off_road"
    assert np.array_equal(session.moment.twin.views["bev"], frozen.views["bev"])
    assert session.moment.twin.cost_total == frozen.cost_total


def test_switching_it_off(drive, session):
    drive.twin.toggle()
    drive.work(0.0)
    drive.twin.toggle()
    assert not drive.work(0.0)
    drive.tick()
    assert not drive.frame().twin_wanted
    assert session.moment.info["imagined_steps"] == 1


def test_starts_that_no_simulator_knows(dream, simulator):
    drive = InteractiveDrive(Session(dream, seed=0), expert(), open_twin=simulator)
    drive.twin.toggle()
    drive.tick()
    assert "not known how it would get here" in drive.frame().status.note
    drive.tick()
    assert drive.session.moment.info["imagined_steps"] == 1
    drive.close()


def test_a_simulator_that_ends_on_the_way_is_said(drive, session, monkeypatch):
    off = np.tile(np.array([[-1.0, 1.0]], np.float32), (200, 1))
    monkeypatch.setattr(DrivenContexts, "replay_actions", lambda self, index: off)
    drive.twin.toggle()
    arrive(drive)
    assert "not the simulator, or not the version or settings of it" in drive.frame().status.note
    assert not drive.frame().twin_wanted


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"bev": np.s_[:, -1, :16]}, "bev in 25.0% of its pixels"),
        ({"ego": np.s_[:, -2, 0]}, "speed by 1 m/s"),
        ({"ego": np.s_[:, -1, 4]}, "route distance by 1 m"),
    ],
    ids=str,
)
def test_a_simulator_that_comes_to_something_else_is_said(spoilt, message, drive, session):
    for name, where in spoilt.items():
        session.contexts.observations[name][where] += 1
    drive.twin.toggle()
    arrive(drive)
    note = drive.frame().status.note
    assert f"does not come to where the dream began: it differs in {message}" in note
    assert not drive.frame().twin_wanted


def test_a_simulator_that_fails_on_the_way_is_said(drive, session, monkeypatch):
    def fail(self, seed, options):
        raise SimulatorError("the server is gone")

    monkeypatch.setattr(ToySimulator, "reset", fail)
    drive.twin.toggle()
    arrive(drive)
    assert drive.frame().status.note == "the server is gone"
    assert not drive.frame().twin_wanted
    drive.tick()
    assert session.moment.info["imagined_steps"] == 1


def test_a_policy_takes_the_simulator_along_to_the_next_start(drive, session):
    drive.twin.toggle()
    arrive(drive)
    drive.policy = Given(np.tile(np.array([[1.0, -1.0]], np.float32), (1, 1)), expert())
    drive.by_hand = False
    context = session.moment.info["context"]
    for _ in range(HELD + 2):
        drive.tick()
    assert session.moment.info["context"] == context + 1
    arrive(drive)
    assert drive.frame().twin.reward_total == 0.0


def test_a_recording_shows_the_simulator_again_without_having_one(drive, session, tmp_path):
    from learned_sim_env.viewer.replay import Replay

    drive.record(tmp_path / "a.gif")
    drive.twin.toggle()
    arrive(drive)
    for _ in range(4):
        drive.tick()
    seen = [moment.twin for moment in session.moment.since_start()]
    drive.close()
    frames = [frame for _, frame in Replay(Tape.load(tmp_path / "a.npz"), session).frames()]
    assert frames[0].twin is None
    for frame, twin in zip(frames[1:], seen[1:]):
        assert np.array_equal(frame.twin.views["bev"], twin.views["bev"])
        assert (frame.twin.speed, frame.twin.apart, frame.twin.reward_total) == pytest.approx(
            (twin.speed, twin.apart, twin.reward_total)
        )


def test_metadrive_stands_where_the_dream_began(shipped):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    from learned_sim_env.twins.pairing import open_twin

    contexts = shipped.unwrapped.checkpoint.contexts
    session = Session(shipped, seed=0)
    index = int(np.argsort(np.diff(contexts.replay_starts))[0])
    session._begin({"context": index})
    driver = RouteFollower.from_ego(session.moment.observation["ego"])
    for _ in range(5):
        session.step(driver(session.moment.observation["ego"]))
    follower = TwinFollower(open_twin("LearnedDriving-v0"), contexts)
    left = list(follower.catch_up(session.moment))
    assert left == sorted(left, reverse=True)
    first, *_, last = session.moment.since_start()
    assert np.array_equal(first.twin.views["bev"], contexts.observations["bev"][index, -1])
    assert first.twin.apart == 0.0
    assert last.twin.apart < 0.2
    assert (last.twin.views["bev"] == last.views["bev"]).mean() > 0.8
    follower.close()
