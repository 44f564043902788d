"""Measure how far a world model may be trusted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from learned_sim_env.evaluation.ladder import ALL, LEVELS, chosen_levels, find_level, measure_level
from learned_sim_env.evaluation.levels import LevelInputs
from learned_sim_env.locks import alone_in
from learned_sim_env.optional import require

if TYPE_CHECKING:
    from learned_sim_env.evaluation.scores import Report
    from learned_sim_env.evaluation.steps_ahead import EvaluateConfig
    from learned_sim_env.reporting.parts import Part

# Arguments that say how much some levels measure, handed on to them as they are; and the least that numbers may be.
SIZES = ("free_rows", "free_steps", "drive_steps", "world_drives")
LEAST = {"episodes": 1, "processes": 1, **dict.fromkeys(SIZES, 1), "free_rows": 2}
# The name of what is measured in any case, beside those of levels.
_REPORT = ""
_LEVELS_HELP = (
    f'Levels of the ladder of trust to measure as well; "{ALL}" takes twenty minutes on two cores, with cameras '
    "longer. "
    + " ".join(f"{level.name}: {level.question} Needs {level.requirements}." for level in map(find_level, LEVELS))
)


@dataclass(frozen=True)
class EvaluateArgs:
    """Compare a world model's futures with what a simulator recorded, and with baselines, with 95% intervals.

    Prints a table, and writes table.md, report.json and figure.png. Without --data, episodes of unseen scenarios are
    recorded first, in OUT/episodes; the same command goes on where it was stopped. --levels goes deeper and writes
    ladder.html, a page with figures and film strips, and ladder.json.
    """

    checkpoint: str = "bev-rssm"
    """One that ships (bev-rssm, camera-rssm), the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    out: Path = Path("runs/evaluate")
    """Where to write."""
    data: Path | None = None
    """Folder of a collection, or a packed file."""
    episodes: int = 100
    """How many, from the first seed of the split on."""
    seeds: Literal["test", "validation", "train"] = "test"
    """Which scenarios; all but test need --data."""
    horizon: int = 30
    """Steps to predict after the five of the context."""
    stride: int = 10
    """Steps between the windows of an episode."""
    samples: int = 0
    """Futures drawn of each window, every one judged by itself; 0: the mode alone."""
    expected: int = 8
    """Futures drawn of each window to judge the mean of their returns; 0: none, and none with --samples."""
    batch_size: int = 32
    """Windows at a time."""
    device: str = ""
    """Where to compute: cpu, cuda; by default a GPU if there is one."""
    threads: int = 0
    """CPU threads of each process; 0: as PyTorch decides, and the machine's shared among several processes."""
    workers: int = 2
    """Simulator processes while recording."""
    processes: int = 1
    """Processes that measure side by side, each a level at a time."""
    free_rows: int = 64
    """Rows of each of three kinds of drivers in the level validity; fewer for a model whose steps take long."""
    free_steps: int = 10_000
    """Steps of each."""
    drive_steps: int = 300
    """Steps of each drive in the level camera_drives."""
    world_drives: int = 64
    """Drives of 50 s by each of two drivers in the level world, as far as there are episodes; fewer for a model whose
    steps take long."""
    levels: Annotated[tuple[str, ...], tyro.conf.arg(help=_LEVELS_HELP)] = ()
    beside: tuple[str, ...] = ()
    """Further checkpoints, named as --checkpoint is, to be shown as baselines beside it."""
    card: bool = False
    """Write the tables into the checkpoint's card as well, of levels those of which something was asked."""

    def command(self) -> str:
        """What to type to repeat it."""
        flags: list[str] = []
        for name, value in vars(self).items():
            if value not in (None, "", False, ()):
                values = () if value is True else value if isinstance(value, tuple) else (value,)
                flags += [f"--{name.replace('_', '-')}", *map(str, values)]
        return shlex.join(["learned-sim", "evaluate", *flags])


def run(args: EvaluateArgs) -> int:
    """Evaluate, print, write."""
    with alone_in(args.out):
        return _run(args)


def _run(args: EvaluateArgs) -> int:
    import torch

    from learned_sim_env.evaluation.report_files import save
    from learned_sim_env.evaluation.scores import Report
    from learned_sim_env.evaluation.side_by_side import side_by_side
    from learned_sim_env.evaluation.steps_ahead import EvaluateConfig
    from learned_sim_env.files import write_text
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.reporting.write import measured_markdown
    from learned_sim_env.world_model.card import card
    from learned_sim_env.world_model.checkpoint import find
    from learned_sim_env.world_model.hub import SCHEME

    # Rather now than at the end.
    require("matplotlib", extra="train")
    for name, least in LEAST.items():
        if (value := getattr(args, name)) < least:
            raise ValueError(f"{name} is {value}; at least {least} is needed")
    if args.data is None and args.seeds != "test":
        raise ValueError(f"only test episodes are recorded on the spot: give --data with {args.seeds} episodes")
    if args.card and args.checkpoint.startswith(SCHEME):
        raise ValueError(f"--card writes into the checkpoint's folder: copy {args.checkpoint} to one of your own first")
    names = [_REPORT, *(level.name for level in chosen_levels(args.levels))]
    config = EvaluateConfig(args.horizon, args.stride, args.samples, args.expected, args.batch_size)
    if args.threads:
        torch.set_num_threads(args.threads)
    inputs = _opened(args, may_record=True)
    checkpoint = inputs.checkpoint
    results: Iterator[tuple[str, Report | tuple[Part, ...]]]
    if args.processes > 1:
        results = side_by_side(partial(_measured_apart, args, config), names, args.processes, args.threads)
    else:
        results = ((name, _measured(inputs, config, name)) for name in names)
    tables, parts, found = "", list[Part](), dict[str, tuple[Part, ...]]()
    written: dict[str, list[Path]] = {}
    # What is there is written: a later level may fail.
    for name, result in results:
        if isinstance(result, Report):
            result = replace(result, about={**result.about, "split": args.seeds, "command": args.command()})
            tables, written["report"] = result.table(), save(result, args.out)
            print(tables, flush=True)
        else:
            found[name] = result
            parts = [part for level in names for part in found.get(level, ())]
            written["ladder"] = _write(args, inputs, parts)
            print(f"{name}: done", flush=True)
        if args.card:
            measured = f"{tables}{measured_markdown(parts)}\nMade by `{args.command()}`.\n"
            written["card"] = [find(args.checkpoint) / "card.md"]
            write_text(written["card"][0], card(checkpoint.name, checkpoint.model.about, checkpoint.training, measured))
    print("written: " + ", ".join(str(path) for paths in written.values() for path in paths))
    return 0


def _measured(inputs: LevelInputs, config: EvaluateConfig, name: str) -> Report | tuple[Part, ...]:
    """The report of one and many steps ahead, or the parts of a level."""
    from learned_sim_env.evaluation.steps_ahead import evaluate

    if name == _REPORT:
        return evaluate(inputs.checkpoint, inputs.data, config, inputs.beside)
    return measure_level(name, inputs)


def _measured_apart(args: EvaluateArgs, config: EvaluateConfig, name: str) -> Report | tuple[Part, ...]:
    """The same in a process of its own."""
    return _measured(_opened(args), config, name)


def _opened(args: EvaluateArgs, may_record: bool = False) -> LevelInputs:
    """Checkpoints and episodes; where none are given, those in `args.out`, recorded now if that is allowed."""
    import torch

    from learned_sim_env.evaluation.episode_sources import open_episodes, record_episodes
    from learned_sim_env.recordings.imported import is_import
    from learned_sim_env.world_model.checkpoint import from_pretrained

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    checkpoint, *beside = (from_pretrained(name, device) for name in (args.checkpoint, *args.beside))
    recorded = args.out / "episodes"
    if args.data is None and may_record:
        data = record_episodes(recorded, args.episodes, args.workers, checkpoint.contract.name)
    else:
        data = open_episodes(args.data or recorded, args.seeds, args.episodes)
    more = {name: getattr(args, name) for name in ("batch_size", "workers", *SIZES)}
    imported = args.data if args.data is not None and is_import(args.data) else None
    return LevelInputs(checkpoint, data, args.out, beside=tuple(beside), imported=imported, **more)


def _write(args: EvaluateArgs, inputs: LevelInputs, parts: list[Part]) -> list[Path]:
    """Write the parts of levels; the files that hold them."""
    from learned_sim_env.reporting.write import write_report

    checkpoint, data, beside = inputs.checkpoint, inputs.data, inputs.beside
    about = {
        "checkpoint": f"{checkpoint.name} {checkpoint.fingerprint[:12]}",
        **({"beside": [f"{other.name} {other.fingerprint[:12]}" for other in beside]} if beside else {}),
        "episodes": f"{len(data)}, seeds {data.seeds.min()} to {data.seeds.max()}, {data.steps} steps",
        "command": args.command(),
    }
    return write_report(args.out, "ladder", f"How far to trust {checkpoint.name}", about, parts)
