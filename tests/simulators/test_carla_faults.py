"""What goes wrong with a CARLA server is said in bounded time, ends no process but the client's, and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings

import gymnasium as gym
import numpy as np
import pytest

from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators import open_simulator
from learned_sim_env.spec import CONTRACTS
from tests.standin import Standin

carla = pytest.importorskip("carla", reason="needs the extra [carla]")
pytest.importorskip("msgpack", reason="needs the extra [carla]")

FORWARD = np.array([0.0, 0.5], np.float32)
TIMEOUT = 2.0  # [s] that the client waits for an answer
# [s] that an error may take: the wait, cleaning up, and a slow machine.
BOUND = TIMEOUT + 18.0


@pytest.fixture
def opened():
    """Makes environments and closes them in the end."""
    envs = []

    def make(port: int, **settings):
        envs.append(
            gym.make("CarlaDriving-v0", disable_env_checker=True, port=port, **{"timeout": TIMEOUT, **settings})
        )
        return envs[-1]

    yield make
    for env in envs:
        env.close()


def refusal(env) -> str:
    """The error of a reset, in bounded time."""
    began = time.monotonic()
    with pytest.raises(SimulatorError) as raised:
        env.reset(seed=1)
    assert time.monotonic() - began < BOUND
    return str(raised.value)


def broken_off(env) -> None:
    """Step until the simulator fails, which is to be told as such, in bounded time."""
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(20):
            _, reward, terminated, truncated, info = env.step(FORWARD)
            if terminated or truncated:
                break
    assert (reward, terminated, truncated, info["end_reason"]) == (0.0, False, True, "simulator_error")
    assert (info["cost"], set(info["reward_terms"].values())) == (0.0, {0.0})
    assert any("broken off" in str(w.message) for w in caught)
    assert time.monotonic() - began < BOUND
    with pytest.raises(gym.error.ResetNeeded):
        env.step(FORWARD)


def left(port: int) -> tuple[list[str], float | None]:
    """Kinds of actors on a server that do not belong to its map, and its clock."""
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(10.0)
    world = client.get_world()
    settings = world.get_settings()
    if settings.synchronous_mode:
        world.tick()
    own = ("spectator", "traffic.traffic_light")
    return [a.type_id for a in world.get_actors() if a.type_id not in own], settings.fixed_delta_seconds


def test_no_server(opened):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert f"no CARLA server at 127.0.0.1:{port} within 2 s" in refusal(opened(port))


def test_something_else_listens(opened):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "does not answer as a CARLA server within 2 s" in refusal(opened(other.getsockname()[1]))


def test_another_version(opened):
    with Standin("--faults.version", "0.9.15") as server:
        assert "is CARLA 0.9.15 and the installed client is 0.9.16" in refusal(opened(server.port))


def test_refused_spawns_leave_the_server_as_it_was(opened):
    with Standin("--faults.refuse-spawns", "vehicle.tesla") as server:
        assert "spawns no vehicle.tesla.model3" in refusal(opened(server.port))
        assert left(server.port) == ([], 0.05)
    with Standin("--faults.refuse-spawns", "sensor") as server:
        assert "Spawn failed" in refusal(opened(server.port))
        assert left(server.port) == ([], 0.05)


def test_missing_sensor_data(opened):
    with Standin("--faults.silent-sensors") as server:
        assert "no data of sensor 'rgb'" in refusal(opened(server.port, extras=("rgb",)))
        assert left(server.port) == ([], 0.05)


def test_late_sensor_data_is_waited_for(opened):
    with Standin("--faults.sensor-delay", "0.2") as server:
        env = opened(server.port, extras=("semantic_camera",), timeout=20.0)
        env.reset(seed=1)
        *_, info = env.step(FORWARD)
        assert (info["end_reason"], info["semantic_camera"].any()) == ("", True)


def test_a_slow_server_is_waited_for(opened):
    with Standin("--faults.reply-delay", "0.03") as server:
        env = opened(server.port, vehicles=(3, 3), walkers=0, timeout=20.0)
        env.reset(seed=1)
        assert env.step(FORWARD)[-1]["end_reason"] == ""


@pytest.mark.parametrize("fault", ["die-after", "hang-after"])
def test_a_server_that_dies_or_hangs_on_the_way(opened, fault):
    with Standin(f"--faults.{fault}", "15") as server:
        env = opened(server.port, vehicles=(0, 0), walkers=0)
        env.reset(seed=1)
        broken_off(env)


def test_a_killed_server_that_comes_back(opened):
    server = Standin()
    env = opened(server.port)
    env.reset(seed=1)
    env.step(FORWARD)
    server.kill()
    broken_off(env)
    assert "no CARLA server" in refusal(env)
    with Standin(port=server.port):
        env.reset(seed=1)
        assert env.step(FORWARD)[-1]["end_reason"] == ""
        env.close()


def test_a_server_that_hangs_and_wakes_is_cleared(opened):
    with Standin() as server:
        env = opened(server.port)
        env.reset(seed=1)
        server.pause()
        broken_off(env)
        server.resume()
        env.reset(seed=1)
        assert env.step(FORWARD)[-1]["end_reason"] == ""
        env.close()
        assert left(server.port)[0] == []


def test_a_killed_client_is_cleared_up_after(opened):
    with Standin() as server:
        env = opened(server.port)
        env.reset(seed=1)
        child = env.unwrapped.simulator._process
        os.kill(child.pid, signal.SIGKILL)
        broken_off(env)
        assert len(left(server.port)[0]) > 2
        env.reset(seed=1)
        env.close()
        assert left(server.port)[0] == []


def test_a_server_in_use_is_refused(opened):
    with Standin() as server:
        first, second = opened(server.port), opened(server.port)
        first.reset(seed=1)
        assert "is in use: another environment" in refusal(second)
        first.close()
        second.reset(seed=1)
        assert second.step(FORWARD)[-1]["end_reason"] == ""


def test_somebody_elses_ticks_are_noticed(opened):
    with Standin() as server:
        env = opened(server.port)
        env.reset(seed=1)
        env.step(FORWARD)
        client = carla.Client("127.0.0.1", server.port)
        client.set_timeout(10.0)
        client.get_world().tick()
        broken_off(env)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"town": "RingTwn"}, "Did you mean 'RingTown'"), ({"vehicle": "vehicle.tesla.model"}, "vehicle.tesla.model3")],
)
def test_unknown_towns_and_vehicles(opened, settings, message):
    with Standin() as server:
        env = opened(server.port, **settings)
        with pytest.raises(ValueError, match=message):
            env.reset(seed=0)
        env.close()
        assert left(server.port) == ([], 0.05)


@pytest.mark.parametrize("text", ["garbage", "<OpenDRIVE/>", '<OpenDRIVE><road id="1" length="9"/></OpenDRIVE>'])
def test_a_malformed_map_is_refused_by_client_and_stand_in(opened, tmp_path, text):
    path = tmp_path / "bad.xodr"
    path.write_text(text)
    with Standin() as server:
        with pytest.raises(ValueError, match=r"bad\.xodr is not an? (usable )?OpenDRIVE map"):
            opened(server.port, opendrive=str(path)).reset(seed=0)
        client = carla.Client("127.0.0.1", server.port)
        client.set_timeout(10.0)
        with pytest.raises(RuntimeError, match=r"OpenDriveMap is not an? (usable )?OpenDRIVE map"):
            client.generate_opendrive_world(text)
        assert client.get_server_version() == "0.9.16"


def test_many_resets_leak_nothing():
    with Standin() as server:
        simulator = open_simulator("carla", CONTRACTS["driving"], port=server.port, vehicles=(4, 8), walkers=3)
        counts = []
        for seed in range(12):
            simulator.reset(seed, {})
            for _ in range(3):
                simulator.step(FORWARD)
            process = simulator._process.pid
            counts.append((len(os.listdir(f"/proc/{process}/fd")), len(os.listdir(f"/proc/{process}/task"))))
        simulator.close()
        assert left(server.port) == ([], 0.05)
    files, threads = np.array(counts[2:]).T
    assert np.ptp(files) <= 3, files
    assert np.ptp(threads) <= 3, threads


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_server_is_put_back_when_its_user_ends(end):
    script = (
        "import gymnasium as gym, numpy as np, sys\n"
        "env = gym.make('learned_sim_env:CarlaDriving-v0', port=int(sys.argv[1]))\n"
        "env.reset(seed=0)\n"
        "while True:\n"
        "    *_, over, cut, _ = env.step(np.array([0.0, 0.3], np.float32))\n"
        "    print('step', flush=True)\n"
        "    if over or cut:\n"
        "        env.reset()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with Standin() as server:
        command = [sys.executable, "-c", script, str(server.port)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as user:
            for _ in range(3):
                assert user.stdout.readline().strip() == b"step"
            user.send_signal(end)
            user.stdout.close()
            user.wait(BOUND)
        deadline = time.monotonic() + BOUND
        while (found := left(server.port)) != ([], 0.05) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert found == ([], 0.05)
