"""CARLA servers for tests: stand-ins in processes of their own, or a real one that `CARLA_SERVER` names."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


class Standin:
    """A stand-in that listens at `port`; `arguments` are those of its command line. log: file of its standard error."""

    def __init__(self, *arguments: str, port: int = 0, log: Path | None = None):
        command = [sys.executable, "-m", "learned_sim_env.carla_standin", "--port", str(port), "--sync", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with contextlib.ExitStack() as stack:
            errors = None if log is None else stack.enter_context(log.open("w"))
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening"), f"the stand-in did not start: {line!r}"
        self.port = int(line.split(",")[0].rpartition(":")[2])

    def __enter__(self) -> Standin:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def pause(self) -> None:
        """Hang."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End at once."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[dict[str, object]]:
    """Settings of an environment that name a server: the one in `CARLA_SERVER`, or a stand-in until the end."""
    pytest.importorskip("carla", reason="needs the extra [carla]")
    pytest.importorskip("msgpack", reason="needs the extra [carla]")
    if "CARLA_SERVER" in os.environ:
        host, _, port = os.environ["CARLA_SERVER"].partition(":")
        yield {"host": host, "port": int(port or 2000)}
        return
    with Standin(*arguments) as standin:
        yield {"port": standin.port}
