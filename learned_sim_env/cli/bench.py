"""Measure how fast the environments are."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learned_sim_env.files import write_json

if TYPE_CHECKING:
    from learned_sim_env.benchmark.speed import Setting, Speed

COLUMNS = (
    ("environment", "<20"),
    ("rows", ">5"),
    ("obs_type", "<9"),
    ("dtype", "<9"),
    ("threads", ">7"),
    ("steps/s", ">9"),
    ("lowest", ">9"),
    ("highest", ">9"),
    ("x twin", ">8"),
    ("x with resets", ">13"),
)


@dataclass(frozen=True)
class BenchArgs:
    """Measure steps a second of a learned environment and of the simulator it was learned from, in one process each.

    The learned environment is measured for 1, 16 and 256 rows, observed as latent state, class ids, or colours with ego
    vector, on one thread and on all, resets of ended episodes included; a model of cameras also with the front camera
    alone, and then with all of them, ego and route. "x twin" compares with the simulator while it drives, "x with
    resets" with whole episodes of it. A machine can run as many of its processes as it has cores.
    """

    checkpoint: str = "bev-rssm"
    """One that ships (bev-rssm, camera-rssm), the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    seconds: float = 2.0
    """For each line of the table."""
    json: Path = Path("runs/bench.json")
    """Where to write the figures."""


def run(args: BenchArgs) -> int:
    """Measure, print each line as it comes, write all as JSON."""
    if not args.seconds > 0:
        raise ValueError(f"seconds is {args.seconds}; it must be positive")
    # Otherwise idle threads take the processor from working ones; torch reads it when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from learned_sim_env.benchmark.machine import Machine
    from learned_sim_env.benchmark.speed import Setting, learned_speed, settings, twin_speed, with_few_contexts
    from learned_sim_env.cli.checkpoint_env import env_id_for
    from learned_sim_env.registration import declarations
    from learned_sim_env.world_model.checkpoint import from_pretrained

    machine = Machine.look()
    checkpoint = with_few_contexts(from_pretrained(args.checkpoint))
    env_id = env_id_for(checkpoint)
    print(machine)
    if machine.busy:
        print("warning: other programs are using the processor, so all figures are too low; run it on a quiet machine")
    print(_line([name for name, _ in COLUMNS]))
    rows: list[dict[str, Any]] = []
    twin: tuple[Speed, Speed] | None = None
    twin_setting = Setting(declarations()[env_id].twin)
    missing = "" if twin_setting.env_id else f"{env_id} has no twin"
    try:
        twin = None if missing else twin_speed(twin_setting, args.seconds)
    except ImportError as error:
        missing = str(error)
        print(f"{twin_setting.env_id} is left out: {missing}")
    if twin is not None:
        for name, speed in zip((twin_setting.env_id, "  with resets"), twin):
            rows.append(_row(twin_setting, speed, twin, resets=speed is twin[1]))
            print(_line([name, 1, twin_setting.obs_type, "-", "-", *_figures(rows[-1])]))
    for setting in settings(env_id, machine.cores, checkpoint.model.draws):
        rows.append(_row(setting, learned_speed(setting, checkpoint, args.seconds), twin, resets=True))
        cells = (setting.env_id, setting.batch, setting.obs_type, setting.dtype, setting.threads)
        print(_line([*cells, *_figures(rows[-1])]), flush=True)
    report = {
        "machine": {**asdict(machine), "busy": machine.busy},
        "checkpoint": args.checkpoint,
        "seconds": args.seconds,
        "twin_missing": missing,
        "rows": rows,
    }
    write_json(args.json, report)
    print(f"written: {args.json}")
    return 0


def _row(setting: Setting, speed: Speed, twin: tuple[Speed, Speed] | None, resets: bool) -> dict[str, Any]:
    """One measurement, JSON-ready; `resets`: whether their time is in it."""
    ratios = [speed.typical / t.typical for t in twin] if twin else [None, None]
    return {
        **asdict(setting),
        "resets": resets,
        "steps_per_second": asdict(speed),
        **dict(zip(("times_twin", "times_twin_with_resets"), ratios)),
    }


def _figures(row: dict[str, Any]) -> list[str]:
    speed, ratios = row["steps_per_second"], (row["times_twin"], row["times_twin_with_resets"])
    return [f"{v:,.0f}" for v in speed.values()] + ["-" if r is None else f"{r:.2f}" for r in ratios]


def _line(cells: list[Any]) -> str:
    return "  ".join(format(str(cell), width) for cell, (_, width) in zip(cells, COLUMNS)).rstrip()
