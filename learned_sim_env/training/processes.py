"""One of the processes that `torchrun` starts: its device, and its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch


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

    def share(self, name: str, total: int) -> int:
        """This process's share of `total` windows a step, the value of the setting `name`.

        Raises:
            ValueError: if the shares would differ: gradients of all processes have the same weight.
        """
        share, rest = divmod(total, self.world)
        if rest or not share:
            nearest = " or ".join(str(k * self.world) for k in (share, share + 1) if k)
            raise ValueError(
                f"{name} {total} cannot be shared evenly by {self.world} processes: give {nearest}, or start another "
                "number of processes"
            )
        return share
