"""Train a world model on recorded driving."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from learned_sim_env.files import remove_unfinished
from learned_sim_env.locks import alone_in
from learned_sim_env.training.config import TrainConfig

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class TrainArgs(Generic[Settings]):
    """Train a world model on recorded driving; the same command goes on with a run that was stopped.

    With --model, --help shows the settings of that architecture.
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
    """`TrainArgs` with the settings of what `--model` in `argv` names, and the defaults that suit it.

    Raises:
        ValueError: if there is no such model.
    """
    from learned_sim_env.training.objective import objective_class, run_config

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--model", nargs="?", default=TrainConfig.model)
    model = parser.parse_known_args(argv)[0].model or TrainConfig.model
    objective, config = objective_class(model), run_config(model)
    of_config = Annotated[TrainConfig, tyro.conf.arg(name="")]
    return make_dataclass(
        "TrainArgs",
        [("config", of_config, field(default=config)), ("contexts", int, field(default=objective.contexts))],
        bases=(TrainArgs[objective.settings_class],),  # type: ignore[name-defined]
        namespace={"__doc__": TrainArgs.__doc__},
        frozen=True,
        kw_only=True,
    )


def run(args: TrainArgs) -> int:
    """Train, then write the checkpoint."""
    # Of several processes the first one writes.
    with alone_in(args.out) if int(os.environ.get("RANK", 0)) == 0 else nullcontext():
        remove_unfinished(args.out)
        return _run(args)


def _run(args: TrainArgs) -> int:
    import torch

    from learned_sim_env.data.dataset import PackedData, pack
    from learned_sim_env.training.export import export
    from learned_sim_env.training.trainer import Trainer

    if args.threads:
        torch.set_num_threads(args.threads)
    data = PackedData.load(pack(args.data) if args.data.is_dir() else args.data)
    every = {"save_every": args.save_every, "picture_every": args.picture_every}
    trainer = Trainer(args.config, data, args.out, args.settings, args.device, **every)
    try:
        trainer.run()
    except KeyboardInterrupt:
        if trainer.rank == 0:
            print(f"interrupted: step {trainer.step} of {args.config.steps} is saved, the same command goes on from it")
        raise
    if trainer.rank == 0:
        path = export(trainer, data, args.contexts)
        print(f"checkpoint written to {path}")
    return 0
