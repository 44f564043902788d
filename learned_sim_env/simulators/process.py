"""A simulator in a process of its own, behind the same interface: for those that allow one a process."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from learned_sim_env.interrupts import leave_to_parent
from learned_sim_env.scene import RoadMap, Scene, SimulatorError
from learned_sim_env.spec import Contract

# The child finds its modules where this process does, wherever that looks for them.
_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from learned_sim_env.simulators.process import serve; serve()"
# [s] that a child gets to close its simulator before it is killed.
_PATIENCE = 5.0
# [s] without an answer after which it is taken to hang for good: longer than any map takes to load.
_SILENCE = 120.0


class ProcessSimulator:
    """Runs the simulator class at `path` ("module:class") in a child; every call is sent there and waited for.

    Raises:
        SimulatorError: if the child died or its simulator failed; a new `reset` starts another.
    """

    def __init__(self, path: str, contract: Contract, settings: dict[str, object]):
        self._arguments = (path, contract, settings)
        self._road_map: RoadMap | None = None
        self._start()

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """As the simulator's; a child that died is replaced."""
        if self._process.poll() is not None:
            self.close()
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
        # Not by `multiprocessing`: it would run the caller's script again, which may have no main guard, forbid a child
        # to a vector environment's worker, and at exit wait for one that was never closed before telling it to end.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._finalizer = weakref.finalize(self, _end, self._process)
        self._watchdog = _Watchdog(self._process)
        self._watchdog.start()
        try:
            self._call("open", *self._arguments)
        except BaseException:
            self.close()
            raise

    def _call(self, method: str, *arguments: Any) -> Any:
        request, process = pickle.dumps((method, arguments)), self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            self._watchdog.due = time.monotonic() + _SILENCE
            process.stdin.write(request)
            process.stdin.flush()
            good, value = pickle.load(process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            silent = time.monotonic() >= self._watchdog.due
            self.close()
            killed = f", killed because it had not answered for {_SILENCE:g} s" if silent else ""
            raise SimulatorError(
                f"the simulator's process ended with exit code {process.returncode}{killed}: "
                "reset the environment to start another; what it has printed may say why"
            ) from error
        except BaseException:
            # Interrupted while it waited: the answer would be taken for that of the next call. It may tidy up.
            self.close()
            raise
        finally:
            self._watchdog.due = math.inf
        if not good:
            if isinstance(value, SimulatorError):
                # Native code that has lost its server may not live long.
                self.close()
            raise value
        return value


class _Watchdog(threading.Thread):
    """Kills a process whose answer is overdue, whatever it hangs in; the waiting reader then gets the end of the pipe.

    Windows has no time limit for reading from a pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes]):
        super().__init__(daemon=True)
        self._process, self.due = process, math.inf

    def run(self) -> None:
        """As long as the process lives."""
        while self._process.poll() is None:
            if time.monotonic() >= self.due:
                self._process.kill()
            time.sleep(min(1.0, _SILENCE / 8))


def serve() -> None:
    """Answer calls on standard input, on what was standard output, until the caller is gone."""
    from learned_sim_env.simulators import load

    leave_to_parent()
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a simulator prints must not be read as an answer.
    os.dup2(2, 1)
    nothing = RoadMap((), (), np.zeros((0, 2)))
    simulator: Any = None
    value: Any
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            break
        try:
            if method == "open":
                path, contract, settings = arguments
                simulator, value = load(path)(contract, **settings), None
            else:
                value = getattr(simulator, method)(*arguments)
            # The map is large and stays the same until the next reset: it travels once.
            if method == "reset":
                value = (value.road_map, replace(value, road_map=nothing))
            elif method == "step":
                value = replace(value, road_map=nothing)
            answer = pickle.dumps((True, value))
        except Exception as error:
            answer = pickle.dumps((False, error))
        try:
            answers.write(answer)
            answers.flush()
        except BrokenPipeError:
            break
    if simulator is not None:
        simulator.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
