"""One of the processes that train together: its device, and how they are started."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import Any

import torch
from torch.multiprocessing import spawn  # type: ignore[attr-defined]

from learned_sim_env.interrupts import interrupts, leave_to_parent


@dataclass(frozen=True)
class Process:
    """One of `world` processes, number `rank` of them all and `local_rank` on its machine; alone by default.

    local_rank: None if it is not set.
    """

    rank: int = 0
    world: int = 1
    local_rank: int | None = None

    @staticmethod
    def started(environ: Mapping[str, str] = os.environ) -> Process:
        """From the environment variables RANK, WORLD_SIZE and LOCAL_RANK."""
        local = environ.get("LOCAL_RANK")
        rank, world = (int(environ.get(name, alone)) for name, alone in (("RANK", 0), ("WORLD_SIZE", 1)))
        return Process(rank, world, None if local is None else int(local))

    def device(self, wanted: str, gpus: int | None = None) -> torch.device:
        """Where this process computes.

        Args:
            wanted: cpu, cuda, or cuda with a number, which is taken as it is; "": cuda if there is a GPU.
            gpus: number of GPUs that this process sees; None: as torch reports.

        Raises:
            ValueError: if there is no GPU for this process alone.
        """
        gpus = torch.cuda.device_count() if gpus is None else gpus
        wanted = wanted or ("cuda" if gpus else "cpu")
        if wanted != "cuda":
            return torch.device(wanted)
        if self.local_rank is None and self.world > 1:
            raise ValueError(
                f"process {self.rank} of {self.world} cannot tell which GPU is its own: set LOCAL_RANK, as torchrun "
                "does, or give a device with a number to each, such as cuda:0"
            )
        index = self.local_rank or 0
        if not gpus:
            raise ValueError("device is 'cuda', but torch sees no GPU: give --device cpu")
        if index >= gpus:
            raise ValueError(
                f"there is no GPU for process {index} of this machine, which has {gpus}: start --nproc-per-node "
                f"{gpus}, or give --device cpu"
            )
        return torch.device("cuda", index)


def run_together(function: Callable[[Any], None], argument: Any, processes: int) -> None:
    """Call a function in so many processes on this machine, which `Process.started` tells apart, as `torchrun` does.

    function, argument: can be pickled.

    Raises:
        KeyboardInterrupt: when asked to end, once all processes have ended, which are asked as well.
        ProcessRaisedException: with the traceback of the process that failed first; the others are ended.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = spawn(_one_of, (function, argument, processes, port), processes, join=False)
    assert started is not None
    try:
        while not started.join():
            pass
    except KeyboardInterrupt:
        for process in started.processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGTERM)
        for process in started.processes:
            process.join()
        raise


def _one_of(rank: int, function: Callable[[Any], None], argument: Any, world: int, port: int) -> None:
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({"MASTER_ADDR": "127.0.0.1", **{name: str(number) for name, number in numbers.items()}})
    leave_to_parent()
    with interrupts():
        threading.Thread(target=_end_with_parent, daemon=True).start()
        function(argument)


def _end_with_parent() -> None:
    """Ask this process to end once its parent has gone without asking: one that is killed asks nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
