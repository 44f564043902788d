"""Recordings as a simulator: the recorded actions repeat the drive, others replay or react, and the end is the end."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.recordings import lines
from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators.recorded import RecordedSimulator
from learned_sim_env.spec import CONTRACTS
from tests.recordings.test_car_fit import DT, driven
from tests.recordings.world import make_world
from tests.recordings.writers import scenarionet, table, write_csv

CONTRACT = CONTRACTS["driving"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A ScenarioNet scene, a table of the same drive called "mine", and a file that is none."""
    path, world = tmp_path_factory.mktemp("recordings"), make_world()
    scenarionet(path, world)
    table(path, world)
    (path / "broken.pkl").write_bytes(b"tracks map_features metadata")
    return path


@pytest.fixture
def env(folder):
    env = TwinDrivingEnv("recorded", recordings=folder)
    yield env
    env.close()


def test_recorded_actions_repeat_the_drive(env):
    for seed in range(4):
        env.reset(seed=seed)
        for _ in range(30):
            *_, terminated, truncated, info = env.step(env.simulator.recorded_action())
            if terminated or truncated:
                break
        assert info["recorded_distance"] < 0.2
        assert info["believable"]
        assert info["end_reason"] in ("", "time_limit")


def test_ends_with_the_recording(env):
    env.reset(seed=0, options={"log": "mine", "time": 0.0})
    for step in range(80):
        *_, terminated, truncated, info = env.step(env.simulator.recorded_action())
        assert (terminated, truncated) == (False, step == 79), step
    assert info["end_reason"] == "time_limit"
    with pytest.raises(SimulatorError, match="over"):
        env.simulator.step(np.zeros(2, np.float32))


def test_same_seed_same_scenes(folder):
    scenes = []
    for _ in range(2):
        simulator = RecordedSimulator(CONTRACT, folder)
        simulator.reset(7, {})
        for _ in range(5):
            scene = simulator.step(np.array([0.1, 0.3], np.float32))
        scenes.append((scene.ego, scene.agents.poses.tobytes()))
    assert scenes[0] == scenes[1]


def test_seeds_begin_at_different_moments(folder):
    simulator = RecordedSimulator(CONTRACT, folder)
    assert len({simulator.reset(seed, {}).ego.x for seed in range(8)}) > 3


def test_log_and_time(env):
    env.reset(seed=0, options={"log": "mine", "time": 2.0})
    assert env.simulator.drive.name == "mine/0"
    expected = env.simulator.drive.ego(20)
    assert (env.scene.ego.x, env.scene.ego.y) == (expected.x, expected.y)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"log": "mein"}, "Did you mean 'mine/0'"),
        ({"log": "mine", "time": 99.0}, r"from 0\.0 to 8\.0 s"),
        ({"time": 1.0}, "name it as well"),
        ({"scenario": "roundabout"}, "no recording has a moment with scenario 'roundabout'"),
        ({"town": "Town01"}, "unknown option 'town'"),
    ],
)
def test_wrong_options(options, words, env):
    with pytest.raises(ValueError, match=words):
        env.reset(seed=0, options=options)


def test_asked_for_scenario(env):
    _, info = env.reset(seed=0, options={"scenario": "traffic"})
    assert "traffic" in info["scenario_tags"]


def test_tells_where_it_is_not_believable(env):
    env.reset(seed=0, options={"log": "mine", "time": 0.0})
    distances, believed = [], []
    for _ in range(25):
        *_, ended, _, info = env.step(np.array([0.0, -1.0], np.float32))
        distances.append(info["recorded_distance"])
        believed.append(info["believable"])
        if ended:
            break
    assert distances[0] < 0.2 and distances[-1] > 10.0
    assert believed[0] and not believed[-1]


@pytest.mark.parametrize("policy", ["expert", "idm"])
def test_drivers_come_back_to_the_recorded_path(policy, env):
    env.reset(seed=0, options={"log": "mine", "time": 0.0})
    route, away = env.simulator.drive.states[:, :2], []
    for step in range(79):
        action = env.simulator.policy_action(policy)
        if step < 8:
            action = np.array([-0.15, 0.6], np.float32)
        *_, info = env.step(action)
        away.append(lines.nearest(route, env.simulator._state[None, :2])[1][0])
    assert max(away[:20]) > 0.5
    assert max(away[50:70]) < 0.3
    assert info["end_reason"] == ""


def test_reacting_traffic(folder):
    env = TwinDrivingEnv("recorded", recordings=folder, traffic="react")
    env.reset(seed=0)
    for _ in range(20):
        *_, info = env.step(env.simulator.recorded_action())
    assert info["unreacting"] == 0 and info["believable"]
    env.close()


def test_spaces_and_seeds(folder):
    env = gym.make("RecordedDriving-v0", recordings=str(folder))
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


@pytest.mark.slow
def test_ppo_learns_in_recordings(folder):
    sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra [rl]")
    env = gym.make("RecordedDriving-v0", recordings=str(folder), obs_type="flat", traffic="react")
    settings = {"net_arch": [16]}
    model = sb3.PPO("MlpPolicy", env, n_steps=32, batch_size=16, policy_kwargs=settings, seed=0, device="cpu")
    before = model.policy.state_dict()["action_net.weight"].clone()
    model.learn(96)
    assert not model.policy.state_dict()["action_net.weight"].equal(before)
    assert all(np.isfinite(episode["r"]) for episode in model.ep_info_buffer)
    env.close()


def test_what_cannot_be_driven(tmp_path):
    with pytest.raises(ValueError, match="name a file or folder"):
        RecordedSimulator(CONTRACT)
    with pytest.raises(ValueError, match="holds no recordings"):
        RecordedSimulator(CONTRACT, tmp_path)
    with pytest.raises(FileNotFoundError):
        RecordedSimulator(CONTRACT, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="Did you mean 'replay'"):
        RecordedSimulator(CONTRACT, tmp_path, traffic="repaly")
    (tmp_path / "scene.pkl").write_bytes(b"tracks map_features metadata")
    with pytest.raises(SimulatorError, match=r"scene\.pkl: it is no whole pickle"):
        RecordedSimulator(CONTRACT, tmp_path).reset(0, {})


def test_recordings_without_a_map_are_not_driven(tmp_path):
    path = table(tmp_path, make_world())
    (path / "map.json").unlink()
    with pytest.raises(SimulatorError, match="mine has no map"):
        RecordedSimulator(CONTRACT, tmp_path).reset(0, {})


def test_the_car_of_the_recording_answers_late_to_what_was_measured(tmp_path):
    columns = driven(40.0)
    write_csv(tmp_path / "ego.csv", columns)
    line = np.stack([columns["x"], columns["y"]], -1)[::10].tolist()
    (tmp_path / "map.json").write_text(json.dumps({"lanes": [{"id": "a", "centre": line}]}))
    away = {}
    for fit_car in (False, True):
        with TwinDrivingEnv("recorded", recordings=tmp_path, fit_car=fit_car) as env:
            env.reset(seed=0, options={"log": tmp_path.name, "time": 10.0})
            first = round(10.0 / DT)
            for k in range(first, first + 20):
                action = [(columns[name][k] + columns[name][k + 1]) / 2 for name in ("steer", "throttle_brake")]
                *_, terminated, truncated, info = env.step(np.array(action, np.float32))
                if terminated or truncated:
                    break
            away[fit_car] = info["recorded_distance"]
            env.reset(seed=0, options={"log": tmp_path.name, "time": 10.0})
            for _ in range(30):
                *_, info = env.step(env.simulator.recorded_action())
            assert info["recorded_distance"] < 0.2
    assert away[True] < 0.2 and away[False] > 4 * away[True]
