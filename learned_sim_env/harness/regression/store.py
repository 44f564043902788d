"""Runs on disk: a folder with `regress.json`, `junit.xml`, `regress.html`, and the drives behind them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from learned_sim_env.data.store import write_npz
from learned_sim_env.files import write_json
from learned_sim_env.harness.engine.job import DriveResult, pack, unpack
from learned_sim_env.harness.engine.suite import Suite
from learned_sim_env.harness.regression.run import Run
from learned_sim_env.harness.regression.verdict import Verdict

JSON = "regress.json"


def save(folder: Path, run: Run, verdict: Verdict, drives: dict[str, list[DriveResult]]) -> list[Path]:
    """Write a run, its verdict, and its drives by world."""
    for world, some in drives.items():
        write_npz(folder / f"{world}.npz", pack(some))
    write_json(folder / JSON, {**run.to_dict(), "verdict": verdict.to_dict()})
    return [folder / JSON]


def load(folder: Path, suite: Suite) -> Run:
    """The run in a folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no run through this suite.
    """
    path = folder / JSON if folder.is_dir() else folder
    if not path.is_file():
        raise FileNotFoundError(f"there is no run in {folder}: make one by `learned-sim regress --out {folder}`")
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    return Run.from_dict(written, suite)


def load_drive(folder: Path, run: Run, world: str, scenario: str) -> DriveResult | None:
    """The first drive of a scenario in a run's folder; None if it was not kept."""
    path = (folder if folder.is_dir() else folder.parent) / f"{world}.npz"
    names = [s.name for s in run.scenarios]
    if not path.is_file() or scenario not in names:
        return None
    with np.load(path, allow_pickle=False) as file:
        drives = unpack(dict(file))
    return drives[names.index(scenario) * (len(drives) // len(names))]
