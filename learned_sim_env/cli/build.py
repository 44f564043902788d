"""Make a checkpoint by its recipe, from collection to card."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from learned_sim_env.cli import collect, evaluate, recipes, train
from learned_sim_env.cli.collect import CollectArgs
from learned_sim_env.cli.evaluate import EvaluateArgs
from learned_sim_env.cli.recipes import Recipe
from learned_sim_env.cli.train import TrainArgs
from learned_sim_env.files import write_json
from learned_sim_env.isolation import isolated
from learned_sim_env.locks import alone_in
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.progress import duration, time_of_day

Stage = Literal["collect", "pack", "roads", "train", "export", "evaluate"]


@dataclass(frozen=True)
class BuildArgs:
    """Make a checkpoint by its recipe: collect, pack, cut roads into pieces, train, export, evaluate; the same command
    goes on where it was stopped.

    The checkpoint is OUT/NAME, with the evaluation on its card. Beside it: OUT/episodes, unless another collection is
    named, and OUT/test, what was recorded; OUT/roads.safetensors, pieces of road; OUT/run, the training;
    OUT/evaluation.
    """

    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """A recipe that ships (bev-rssm, camera-rssm, transformer), or the path of one (./mine.toml)."""
    out: Path
    """Where to write."""
    quick: bool = False
    """Go through all of it with hardly any data and steps, in a few minutes."""
    stage: Stage | None = None
    """Do this stage alone, even if it was done before; those before it must be done."""
    episodes: Path | None = None
    """Folder of the training episodes, such as that of another build: those that the recipe asks for are recorded there
    if they are not there yet. By default OUT/episodes."""
    processes: int = 2
    """Simulator processes, processes that train together, each with its share of every batch, and processes that
    measure side by side."""
    threads: int = 0
    """CPU threads of each process that trains or measures; 0: the machine's, shared among them."""


def run(args: BuildArgs) -> int:
    """Do the stages that are left, or one of them."""
    recipe = recipes.read(recipes.find(args.recipe), args.quick)
    if args.processes < 1:
        raise ValueError(f"processes is {args.processes}; at least 1 is needed")
    build = Build(args, recipe)
    build.check()
    with alone_in(args.out):
        build.run()
    return 0


class Build:
    """A recipe's stages in a folder, whose `build.json` says which are done, with what, and in how many seconds."""

    def __init__(self, args: BuildArgs, recipe: Recipe):
        self.args, self.recipe, self.out = args, recipe, args.out
        self.checkpoint, self._path = args.out / recipe.name, args.out / "build.json"
        self.episodes = args.episodes or args.out / "episodes"
        self.stages: dict[str, Any] = {}

    def check(self) -> None:
        """`ValueError` for what the training would refuse, once all is recorded."""
        from learned_sim_env.training.objective import objective_class, shares

        training = self._training()
        shares(objective_class(training.config.model), training.config, training.settings, self.args.processes)

    def run(self) -> None:
        """All stages that are left, or the one that was asked for."""
        if self._path.exists():
            self.stages = json.loads(self._path.read_text(encoding="utf-8"))
        asked, stages = self.args.stage, self.recipe.stages
        if asked and asked not in stages:
            raise ValueError(f"recipe {self.recipe.name} has no stage {asked}, but {', '.join(stages)}")
        left: list[str] = [asked] if asked else [stage for stage in stages if not self._is_done(stage)]
        for stage in left:
            missing = [before for before in self._before(stage) if not self._is_done(before)]
            if missing:
                raise ValueError(f"stage {stage} needs {', '.join(missing)} first: do that, or leave --stage out")
            expected = [self._expected(s) for s in left[left.index(stage) :]]
            news = f"{time_of_day()} {stage}: stage {stages.index(stage) + 1} of {len(stages)}"
            if all(expected):
                news += f", about {duration(expected[0])} of {duration(sum(expected))} that are left"
            print(news, flush=True)
            self._timed(stage)
        seconds = sum(stage["seconds"] for stage in self.stages.values())
        finished = "all stages are done" if all(map(self._is_done, stages)) else f"{asked} is done"
        print(f"{time_of_day()} {finished}, in {duration(seconds)} so far: {self.checkpoint}")

    def _timed(self, stage: str) -> None:
        """Do a stage, and note in `build.json` what it was made with and how long it took, interruptions apart."""
        before = self.stages.get(stage, {})
        seconds, started = 0.0 if before.get("done") else before.get("seconds", 0.0), time.monotonic()
        # What comes after has to be done again.
        self.stages = {name: self.stages[name] for name in self._before(stage)}
        done = False
        try:
            getattr(self, f"_{stage}")()
            done = True
        finally:
            seconds += time.monotonic() - started
            self.stages[stage] = {"done": done, "seconds": round(seconds, 1), "made_with": self._made_with(stage)}
            write_json(self._path, self.stages)

    def _made_with(self, stage: str) -> dict[str, Any]:
        """What the result of a stage depends on, ready for JSON, by its place in the recipe."""
        tables = {*self._before(stage), stage} & {"collect", "roads", "train", "evaluate"}
        made = {f"[{table}] {k}": v for table in sorted(tables) for k, v in getattr(self.recipe, table).items()}
        if self.args.episodes is not None:
            made["--episodes"] = str(self.args.episodes.resolve())
        if "train" in tables:
            made["--processes"] = self.args.processes
        return json.loads(json.dumps(made))

    def _is_done(self, stage: str) -> bool:
        """Whether a stage is done; `ValueError` if it was done or begun with something else."""
        there, now = self.stages.get(stage), self._made_with(stage)
        if there is None:
            return False
        for name in (*now, *there["made_with"]):
            old, new = (made.get(name, "its default") for made in (there["made_with"], now))
            if old != new:
                raise ValueError(
                    f"{self.out} holds a build whose stage {stage} had {name}={old!r}, this one has {new!r}: give "
                    "another --out, or what it was begun with"
                )
        return bool(there["done"])

    def _before(self, stage: str) -> list[str]:
        """The stages before one."""
        stages = self.recipe.stages
        return list(stages[: stages.index(stage)])

    def _expected(self, stage: str) -> float:
        """Seconds that a stage is likely to take, judged by those that are done; 0 if the recipe does not say."""
        usual = {name: 60 * minutes for name, minutes in self.recipe.minutes.items()}
        took = {name: self.stages[name]["seconds"] for name in usual if self.stages.get(name, {}).get("done")}
        # Nothing about the machine follows from one that found its work done, such as the episodes of another build.
        took = {name: seconds for name, seconds in took.items() if seconds > usual[name] / 10}
        slower = sum(took.values()) / sum(usual[name] for name in took) if took else 1.0
        return slower * usual.get(stage, 0.0)

    def _collect(self) -> None:
        from learned_sim_env.data.collect import is_collected

        args = self._recording(self.episodes, "train", self.recipe.collect["episodes"])
        if self.args.episodes is not None and is_collected(collect.config_of(args)):
            # Another's, which is not to be written anew because it was called otherwise.
            print(f"all {args.episodes} episodes are there: {self.episodes}")
        else:
            self._record(args)

    def _recording(self, folder: Path, split: Literal["train", "test"], episodes: int) -> CollectArgs:
        table = {**self.recipe.collect, "episodes": episodes}
        return CollectArgs(out=folder, split=split, workers=self.args.processes, **table)

    def _record(self, args: CollectArgs) -> None:
        if collect.run(args):
            print("some episodes could not be recorded, see above: the build goes on without them")

    def _pack(self) -> None:
        from learned_sim_env.data.dataset import pack

        pack(self.episodes)

    def _roads(self) -> None:
        from learned_sim_env.training.objective import objective_class

        made = objective_class(self.recipe.train["model"]).made_before["roads"]
        # In a process of its own, because a process can have one engine.
        said = isolated(made.make, made.config(**self.recipe.roads), self._library)
        print(", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in said.items()))

    @property
    def _library(self) -> Path:
        return self.out / "roads.safetensors"

    def _training(self) -> TrainArgs:
        from learned_sim_env.training.objective import objective_class, run_config

        objective = objective_class(self.recipe.train["model"])
        table = {**self.recipe.train, **({"roads": str(self._library)} if self.recipe.roads else {})}
        config, settings, more = recipes.parted(table, (TrainConfig, objective.settings_class, TrainArgs))
        return TrainArgs(
            data=self.episodes,
            out=self.out / "run",
            config=run_config(**config),
            settings=objective.settings_class(**settings),
            threads=self.args.threads or max(1, (os.cpu_count() or 1) // self.args.processes),
            **{"contexts": objective.contexts, **more},
        )

    def _train(self) -> None:
        train.train_together(self._training(), self.args.processes)

    def _export(self) -> None:
        args = self._training()
        with train.opened(args) as (trainer, data):
            quick = " --quick" if self.args.quick else ""
            made_by = f"`learned-sim build {self.args.recipe}{quick} --processes {self.args.processes}`"
            device = f"{trainer.device.type}, {self.args.processes} processes, {trainer.hours():.2f} hours"
            train.export(args, trainer, data, self.checkpoint, {"device": device, "made_by": made_by})

    def _evaluate(self) -> None:
        table = {"episodes": EvaluateArgs.episodes, **self.recipe.evaluate}
        self._record(self._recording(self.out / "test", "test", table["episodes"]))
        args = EvaluateArgs(
            # With a separator it is a path, not the name of one that ships.
            checkpoint=os.path.join(self.out, self.checkpoint.name),
            out=self.out / "evaluation",
            data=self.out / "test",
            card=True,
            threads=self.args.threads,
            workers=self.args.processes,
            processes=self.args.processes,
            **table,
        )
        evaluate.run(args)
