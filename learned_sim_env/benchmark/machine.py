"""What figures of speed depend on besides the code."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

# Share of the processor in use by others above which figures mean little.
BUSY = 0.25


@dataclass(frozen=True)
class Machine:
    """A machine as it was when looked at.

    cores: that this process may use. load: average number of running processes during the last minute, or None where
    the system does not tell. wait_policy: how OpenMP's idle threads wait, "" by default.
    """

    processor: str
    cores: int
    load: float | None
    system: str
    python: str
    torch: str
    wait_policy: str

    @staticmethod
    def look() -> Machine:
        """This machine now."""
        import torch

        return Machine(
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            system=platform.platform(),
            python=platform.python_version(),
            torch=torch.__version__,
            wait_policy=os.environ.get("OMP_WAIT_POLICY", ""),
        )

    @property
    def busy(self) -> bool:
        """Whether others use so much of the processor that figures will be too low."""
        return self.load is not None and self.load > BUSY * self.cores

    def __str__(self) -> str:
        load = "unknown" if self.load is None else f"{self.load:.2f}"
        return f"{self.processor}, {self.cores} cores, load {load}; Python {self.python}, torch {self.torch}"


def _processor() -> str:
    """Its model, as far as the system tells."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
