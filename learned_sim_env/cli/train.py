"""Train a world model on recorded driving."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import tyro

from learned_sim_env.files import remove_unfinished
from learned_sim_env.locks import alone_in
from learned_sim_env.training.config import TrainConfig

if TYPE_CHECKING:
    from learned_sim_env.data.dataset import PackedData
    from learned_sim_env.training.loop.trainer import Trainer

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class TrainArgs(Generic[Settings]):
    """Train a world model on recorded driving; the same command goes on with a run that was stopped.

    With --model, --help shows the settings of that architecture. With --start, steps and all further steps are by
    default fewer: their share is that of the frames to train on among those that the checkpoint has learned from, at
    least a hundredth. Give --data as well, and --help shows how many these are.
    Several processes: torchrun --nproc-per-node N -m learned_sim_env.cli.main train ...
    """

    data: Path
    """Folder of a collection, or a packed file."""
    out: Path
    """Folder of the run; the finished model is OUT/checkpoint."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    settings: Annotated[Settings, tyro.conf.arg(name="")]
    device: str = ""
    """Where to compute: cpu, cuda (with torchrun, each process has a GPU of its own); by default a GPU if there is one.
    """
    threads: int = 0
    """CPU threads; 0: as PyTorch decides."""
    save_every: int = 250
    """Steps between saved states."""
    picture_every: int = 1000
    """Steps between validations and pictures."""
    contexts: int = 320
    """Starting contexts to ship with the checkpoint; those with pictures are large."""


def args_for(argv: Sequence[str]) -> Any:
    """`TrainArgs` with the settings of what `--model` in `argv` names, and the defaults that suit it; with `--start`,
    those that suit the amount of data.

    Raises:
        ValueError: if there is no such model, or the data or the checkpoint are damaged.
        OSError: if there is no such checkpoint.
    """
    from learned_sim_env.training.objective import objective_class, run_config

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in ("--model", "--start", "--data"):
        parser.add_argument(name, nargs="?")
    given = parser.parse_known_args(argv)[0]
    model = given.model or TrainConfig.model
    objective, config = objective_class(model), run_config(model)
    settings = objective.settings_class()
    if objective.amounts and given.start and given.data and Path(given.data).exists():
        from learned_sim_env.data.dataset import PackedData, packed_file
        from learned_sim_env.training.export.amount import scaled

        frames = PackedData.count_steps(packed_file(Path(given.data)), "train")
        config, settings = scaled(replace(config, start=given.start), settings, objective.amounts, frames)
    return make_dataclass(
        "TrainArgs",
        [
            ("config", Annotated[TrainConfig, tyro.conf.arg(name="")], field(default=config)),
            ("settings", Annotated[objective.settings_class, tyro.conf.arg(name="")], field(default=settings)),
            ("contexts", int, field(default=objective.contexts)),
        ],
        bases=(TrainArgs[objective.settings_class],),  # type: ignore[name-defined]
        namespace={"__doc__": TrainArgs.__doc__},
        frozen=True,
        kw_only=True,
    )


def run(args: TrainArgs) -> int:
    """Train, then write the checkpoint."""
    with opened(args) as (trainer, data):
        train(args, trainer, data)
        if trainer.rank == 0:
            export(args, trainer, data, args.out / "checkpoint")
    return 0


@contextmanager
def opened(args: TrainArgs) -> Iterator[tuple[Trainer, PackedData]]:
    """The trainer of a run, as far as it has come, and its data; alone in the run's folder."""
    import torch

    from learned_sim_env.data.dataset import PackedData, packed_file
    from learned_sim_env.training.loop.trainer import Trainer

    # Of several processes the first one writes.
    with alone_in(args.out) if int(os.environ.get("RANK", 0)) == 0 else nullcontext():
        remove_unfinished(args.out)
        if args.threads:
            torch.set_num_threads(args.threads)
        data = PackedData.load(packed_file(args.data))
        every = {"save_every": args.save_every, "picture_every": args.picture_every}
        yield Trainer(args.config, data, args.out, args.settings, args.device, **every), data


def train(args: TrainArgs, trainer: Trainer, data: PackedData) -> None:
    """Train to the last step, if there are data to export the model with."""
    from learned_sim_env.training.export.amount import how_little
    from learned_sim_env.training.export.export import choose_contexts

    if trainer.rank == 0:
        if few := how_little(data, trainer.model.contract.dt, args.config.steps, args.config.start):
            print(few)
        # Rather now than at the end.
        choose_contexts(data, args.contexts, trainer.model)
    try:
        trainer.run()
    except KeyboardInterrupt:
        if trainer.rank == 0:
            print(f"interrupted: step {trainer.step} of {args.config.steps} is saved, the same command goes on from it")
        raise


def train_together(args: TrainArgs, processes: int) -> None:
    """Train to the last step in so many processes on this machine."""
    from learned_sim_env.training.processes import run_together

    if processes == 1:
        train_alone(args)
    else:
        run_together(train_alone, args, processes)


def train_alone(args: TrainArgs) -> None:
    """Train to the last step, in this process."""
    with opened(args) as (trainer, data):
        train(args, trainer, data)


def export(args: TrainArgs, trainer: Trainer, data: PackedData, path: Path, about: Mapping[str, Any] = {}) -> None:
    """Write the checkpoint of a run that has come to its last step; `about`: what else its card is to say."""
    from learned_sim_env.training.export.export import export as write

    print(f"checkpoint written to {write(trainer, data, args.contexts, path, about)}")
