"""Measure how far a world model may be trusted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from learned_sim_env.evaluation.ladder import ALL, LEVELS, chosen_levels, climb, find_level
from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.locks import alone_in
from learned_sim_env.optional import require

if TYPE_CHECKING:
    from learned_sim_env.data.dataset import PackedData
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint

_LEVELS_HELP = (
    f'Levels of the ladder of trust to measure as well; "{ALL}" takes a quarter of an hour on two cores, with cameras '
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
    """One that ships, the path of a folder (./mine), or one on the hub (hf://owner/name)."""
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
    """CPU threads; 0: as PyTorch decides."""
    workers: int = 2
    """Simulator processes while recording."""
    levels: Annotated[tuple[str, ...], tyro.conf.arg(help=_LEVELS_HELP)] = ()
    beside: tuple[str, ...] = ()
    """Further checkpoints, named as --checkpoint is, to be shown as baselines beside it."""
    card: bool = False
    """Write the table into the checkpoint's card as well, and what was asked of the levels that are measured."""

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

    from learned_sim_env.evaluation.episode_sources import open_episodes, record_episodes
    from learned_sim_env.evaluation.report_files import save
    from learned_sim_env.evaluation.steps_ahead import EvaluateConfig, evaluate
    from learned_sim_env.files import write_text
    from learned_sim_env.reporting.parts import targets_table
    from learned_sim_env.reporting.write import markdown
    from learned_sim_env.world_model.card import card
    from learned_sim_env.world_model.checkpoint import find, from_pretrained
    from learned_sim_env.world_model.hub import SCHEME

    # Rather now than at the end.
    require("matplotlib", extra="train")
    if args.episodes < 1:
        raise ValueError(f"episodes is {args.episodes}; at least 1 is needed")
    if args.data is None and args.seeds != "test":
        raise ValueError(f"only test episodes are recorded on the spot: give --data with {args.seeds} episodes")
    if args.card and args.checkpoint.startswith(SCHEME):
        raise ValueError(f"--card writes into the checkpoint's folder: copy {args.checkpoint} to one of your own first")
    levels = chosen_levels(args.levels)
    config = EvaluateConfig(args.horizon, args.stride, args.samples, args.expected, args.batch_size)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    checkpoint, *beside = (from_pretrained(name, device) for name in (args.checkpoint, *args.beside))
    if args.data is None:
        data = record_episodes(args.out / "episodes", args.episodes, args.workers, checkpoint.contract.name)
    else:
        data = open_episodes(args.data, args.seeds, args.episodes)
    report = evaluate(checkpoint, data, config, beside)
    report = replace(report, about={**report.about, "split": args.seeds, "command": args.command()})
    paths = save(report, args.out)
    print(report.table())
    written: list[Path] = []
    # The card is complete as far as it goes, should a level fail.
    for parts, climbed in _climb(args, levels, checkpoint, data, beside):
        written = climbed
        if args.card:
            asked = [target for part in parts for target in part.targets]
            table = f"\n## Asked and measured\n\n{markdown(targets_table(asked))}\n" if asked else ""
            measured = f"{report.table()}{table}\nMade by `{args.command()}`.\n"
            path = find(args.checkpoint) / "card.md"
            write_text(path, card(checkpoint.name, checkpoint.model.about, checkpoint.training, measured))
            written = [path, *climbed]
    paths += written
    print("written: " + ", ".join(map(str, paths)))
    return 0


def _climb(
    args: EvaluateArgs, levels: list[Level], checkpoint: Checkpoint, data: PackedData, beside: list[Checkpoint]
) -> Iterator[tuple[list[Part], list[Path]]]:
    """Measure the levels that were asked for, and write what is there after each: a later one may fail.

    Yields what there is so far, at first nothing: parts of the report, and the files that hold them.
    """
    from learned_sim_env.reporting.write import write_report

    about = {
        "checkpoint": f"{checkpoint.name} {checkpoint.fingerprint[:12]}",
        **({"beside": [f"{other.name} {other.fingerprint[:12]}" for other in beside]} if beside else {}),
        "episodes": f"{len(data)}, seeds {data.seeds.min()} to {data.seeds.max()}, {data.steps} steps",
        "command": args.command(),
    }
    parts: list[Part] = []
    yield parts, []
    inputs = LevelInputs(checkpoint, data, args.out, args.batch_size, args.workers, tuple(beside))
    for level, found in climb(levels, inputs):
        parts += found
        print(f"{level.name}: done", flush=True)
        yield parts, write_report(args.out, "ladder", f"How far to trust {checkpoint.name}", about, parts)
