"""How long many files take to import, and whether memory stays flat: copies of one recording.

    python -m tests.recordings.benchmark_import scenario.tfrecord --copies 1000 --workers 2

Linux only: it looks into /proc.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from learned_sim_env.data.imports import ImportConfig, look_at_all


@dataclass(frozen=True)
class Args:
    file: Annotated[Path, tyro.conf.Positional]
    """A recording that is one file."""
    copies: int = 1000
    workers: int = 2


def resident() -> float:
    """[MiB] of this process and all below it; memory that they share counts each time."""
    pages, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)], pages[int(entry.name)] = int(fields[1]), int(fields[21])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(pages.get(pid, 0) for pid in found) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(args: Args) -> None:
    """Import, and print time, and memory in tenths of it."""
    with tempfile.TemporaryDirectory() as name:
        logs, out = Path(name) / "logs", Path(name) / "out"
        logs.mkdir()
        for k in range(args.copies):
            shutil.copyfile(args.file, logs / f"{k:05}{args.file.suffix}")
        samples: list[float] = []
        over = threading.Event()

        def look() -> None:
            while not over.wait(1.0):
                samples.append(resident())

        thread = threading.Thread(target=look)
        thread.start()
        begin = time.monotonic()
        report = look_at_all(ImportConfig(logs, out, workers=args.workers))
        seconds = time.monotonic() - begin
        used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        over.set()
        thread.join()
        told = report.to_dict()
    print(f"{told['files']} files, {told['drives']} drives, {told['frames']} frames in {seconds:.0f} s")
    print(f"{seconds / args.copies:.2f} s a file with {args.workers} workers, {used / args.copies:.2f} s of CPU time")
    tenths = [samples[len(samples) * k // 10 : max(len(samples) * (k + 1) // 10, 1)] for k in range(10)]
    print("MiB, the most in each tenth of the time:", ", ".join(f"{max(t):.0f}" for t in tenths if t))


if __name__ == "__main__":
    main(tyro.cli(Args))
