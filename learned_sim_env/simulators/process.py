"""A simulator in a process of its own, behind the same interface: for those that allow one a process."""

from __future__ import annotations

import multiprocessing
import weakref
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from learned_sim_env.scene import RoadMap, Scene
from learned_sim_env.spec import Contract


class ProcessSimulator:
    """Runs `simulators.open_simulator(name, ...)` in a spawned child; every call is sent there and waited for.

    Raises:
        RuntimeError: if the child died; a new `reset` starts another.
    """

    def __init__(self, name: str, contract: Contract, settings: dict[str, object]):
        self._arguments = (name, contract, settings)
        self._road_map: RoadMap | None = None
        self._start()

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """As the simulator's; a child that died is replaced."""
        if not self._process.is_alive():
            self._start()
        self._road_map, scene = self._call("reset", seed, options)
        return replace(scene, road_map=self._road_map)

    def step(self, action: np.ndarray) -> Scene:
        """As the simulator's."""
        assert self._road_map is not None
        return replace(self._call("step", action), road_map=self._road_map)

    def policy_action(self, name: str) -> np.ndarray:
        """As the simulator's."""
        return self._call("policy_action", name)

    def close(self) -> None:
        """End the child."""
        self._finalizer()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        # Not a daemon: a vector environment's worker, itself a daemon, must be able to have one.
        self._process = context.Process(target=_serve, args=(child, *self._arguments), daemon=False)
        current = multiprocessing.current_process()
        was_daemon, current._config["daemon"] = current._config.get("daemon"), False  # type: ignore[attr-defined]
        try:
            self._process.start()
        finally:
            current._config["daemon"] = was_daemon  # type: ignore[attr-defined]
        child.close()
        self._finalizer = weakref.finalize(self, _end, self._process, self._pipe)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((method, arguments))
            good, value = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join(timeout=1)
            raise RuntimeError(
                f"the simulator's process ended with exit code {self._process.exitcode}: reset the environment to start another"
            ) from error
        if not good:
            raise value
        return value


def _serve(pipe: Connection, name: str, contract: Contract, settings: dict[str, object]) -> None:
    from learned_sim_env.simulators import open_simulator

    nothing = RoadMap((), (), np.zeros((0, 2)))
    simulator: Any = None
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            break
        try:
            if simulator is None:
                simulator = open_simulator(name, contract, isolate=False, **settings)
            value = getattr(simulator, method)(*arguments)
            # The map is large and stays the same until the next reset: it travels once.
            if method == "reset":
                value = (value.road_map, replace(value, road_map=nothing))
            elif method == "step":
                value = replace(value, road_map=nothing)
            pipe.send((True, value))
        except Exception as error:
            pipe.send((False, error))
    if simulator is not None:
        simulator.close()


def _end(process: Any, pipe: Connection) -> None:
    pipe.close()
    process.join(timeout=5)
    if process.is_alive():
        process.kill()
        process.join()
