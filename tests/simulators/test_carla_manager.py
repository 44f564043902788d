"""CARLA's TrafficManager is woken when it sleeps through a tick, and left alone otherwise."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from learned_sim_env.simulators.carla.manager import awake, open_manager, repeat_signal
from tests.standin import Standin

msgpack = pytest.importorskip("msgpack", reason="needs the extra [carla]")


class Manager:
    """The remote procedures of a manager. calls: what was asked of it."""

    def __init__(self):
        self.calls: list[list] = []
        self.called = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        unpacker = msgpack.Unpacker()
        caller, _ = self._socket.accept()
        with caller:
            while len(self.calls) < 2:
                unpacker.feed(caller.recv(1000))
                self.calls += list(unpacker)
            caller.sendall(b"".join(msgpack.packb([1, number, None, None]) for _, number, *_ in self.calls))
        self.called.set()


class World:
    """Is at `frame`."""

    def __init__(self):
        self.frame = 7

    def get_snapshot(self):
        return self


def test_one_that_sleeps_through_a_step_is_woken():
    manager, world = Manager(), World()
    with awake(manager.port, world, 0.05):
        world.frame += 1
        assert manager.called.wait(5.0)
    assert [call[2:] for call in manager.calls] == [["set_synchronous_mode", [on]] for on in (False, True)]


def test_one_that_works_is_left_alone():
    manager, world, threads = Manager(), World(), threading.active_count()
    for _ in range(20):
        with awake(manager.port, world, 5.0):
            world.frame += 1
    with pytest.raises(RuntimeError, match="failed"), awake(manager.port, world, 5.0):
        raise RuntimeError("the tick failed")
    time.sleep(0.1)
    assert not manager.calls
    assert threading.active_count() <= threads


def test_a_server_that_is_late_is_none_of_its_business():
    manager = Manager()
    with awake(manager.port, World(), 0.02):
        assert not manager.called.wait(0.2)


def test_a_manager_that_is_gone_is_no_error():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = World()
    with awake(port, world, 0.02):
        world.frame += 1
        time.sleep(0.1)


def test_the_real_one_goes_on_through_a_signal_too_many():
    carla = pytest.importorskip("carla", reason="needs the extra [carla]")
    with Standin() as server:
        client = carla.Client("127.0.0.1", server.port, worker_threads=16)
        client.set_timeout(10.0)
        world = client.get_world()
        world.tick()
        manager = open_manager(client)
        point = sorted(world.get_map().get_spawn_points(), key=lambda t: (t.location.x, t.location.y))[5]
        car = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.a2"), point)
        world.tick()
        car.set_autopilot(True, manager.get_port())
        for i in range(60):
            world.tick()
            if i % 20 == 5:
                repeat_signal(manager.get_port())
        assert car.get_location().distance(point.location) > 5.0
        car.destroy()
        world.tick()
        manager.shut_down()
