"""Learn to drive in the dream, drive in the simulator, and compare."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learned_sim_env.agents.results.contest import AgentPlan
from learned_sim_env.locks import alone_in
from learned_sim_env.reinforcement.transfer import TransferPlan

if TYPE_CHECKING:
    from learned_sim_env.reinforcement.jobs import Job
    from learned_sim_env.reporting.parts import Part, Table


@dataclass(frozen=True)
class TransferArgs(AgentPlan):
    """Learn to drive in the dream, drive in the simulator, and compare.

    Trains PPO in the dream, in MetaDrive, in the dream with its doubt penalised, and in the dream for longer (with
    cameras: in the dream, in MetaDrive, and in both without pictures), and agents of `learned-sim learn`, if --agents
    names any; judges all of them on test scenarios of MetaDrive; and asks whether the dream ranks policies as MetaDrive
    does. Every piece is kept in OUT: the same command goes on where it was broken off. Writes transfer.json, .html, .md
    and .png there.
    """

    out: Path = Path("runs/transfer")
    """Where to work and write."""
    ship: Path | None = None
    """Copy here the policy that earned most in the dream at the end of the longer runs; the simulator has no say."""
    workers: int = 2
    """Processes at the same time."""


def run(args: TransferArgs) -> int:
    """Do what is left to do, then write the report."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # One core a worker.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with alone_in(args.out):
        return _run(args)


def _run(args: TransferArgs) -> int:
    from learned_sim_env.data.dataset import packed_file
    from learned_sim_env.optional import require

    for module, extra in (("stable_baselines3", "rl"), ("metadrive", "metadrive"), ("matplotlib", "train")):
        require(module, extra=extra)
    plan = AgentPlan(**{f.name: getattr(args, f.name) for f in fields(AgentPlan)})
    if args.ship is not None and args.only_agents:
        raise ValueError("--ship copies a policy of PPO, which --only-agents leaves out: give one of them")
    if plan.data is not None:
        # Rather now than in a worker, hours later; and before the folder is marked with it.
        packed_file(plan.data)
    _check_folder(plan)
    for name, jobs in plan.stages():
        _work(name, jobs, args.workers)
    parts = _parts(plan)
    about = {"checkpoint": args.checkpoint, "command": _command(args), **_machine()}
    paths = _write(args.out, about, parts)
    if args.ship is not None:
        paths.append(_ship(plan, args.ship))
    print(f"written: {', '.join(map(str, paths))}")
    return 0


def _ship(plan: AgentPlan, path: Path) -> Path:
    """Copy the best policy of the longest runs in the dream, by what it earned there."""
    import shutil

    import numpy as np

    from learned_sim_env.files import replacing
    from learned_sim_env.reinforcement.jobs import read
    from learned_sim_env.reinforcement.transfer import last_policy

    runs = plan.runs()[plan.best_kind]
    earned = [np.mean([row["reward"] for row in read(run.path / "run.json")["curve"][-20:]]) for run in runs]
    with replacing(path) as temporary:
        shutil.copyfile(last_policy(runs[int(np.argmax(earned))]), temporary)
    return path


def _check_folder(plan: AgentPlan) -> None:
    """Keep what was asked for beside its results, and refuse to mix them with those of another question.

    Raises:
        ValueError: if the folder belongs to another one.
    """
    import json

    from learned_sim_env.files import write_json
    from learned_sim_env.version import __version__
    from learned_sim_env.world_model.checkpoint import find, read_config

    config = read_config(find(plan.checkpoint))
    asked = json.loads(json.dumps(asdict(plan), default=str))
    model = {**config["files"], "uncertainty_bound": config["uncertainty_bound"]}
    if not plan.agents:
        # What belongs to agents; folders of before they took part have none of it.
        asked = {name: value for name, value in asked.items() if name in {f.name for f in fields(TransferPlan)}}
    asked = {**asked, "out": None, "version": __version__, "model": model}
    path = plan.out / "plan.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in asked if found.get(name) != asked[name]]
        if changed:
            raise ValueError(
                f"{plan.out} holds results with other {', '.join(changed)}: give another --out, or delete the folder"
            )
    write_json(path, asked)


def _work(name: str, jobs: list[Job], workers: int) -> None:
    """Run jobs, with a bar of about how many seconds of work are done, and so of how many are left."""
    from threading import Event, Thread

    from tqdm import tqdm

    from learned_sim_env.reinforcement.jobs import run_all

    def done() -> int:
        return round(sum(job.work * job.share for job in jobs))

    def watch() -> None:
        # Training takes long, and tells how far it is.
        while not over.wait(10.0):
            bar.update(done() - bar.n)

    over = Event()
    with tqdm(total=round(sum(job.work for job in jobs)), initial=done(), desc=name, unit="s of work") as bar:
        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for job in run_all(jobs, workers):
                bar.set_postfix_str(job.path.stem)
        finally:
            over.set()
            watcher.join()
        bar.update(done() - bar.n)


def _parts(plan: AgentPlan) -> list[Part]:
    from learned_sim_env.agents.results.contest_page import planning_part
    from learned_sim_env.agents.settings import METRICS
    from learned_sim_env.reinforcement.jobs import read
    from learned_sim_env.reinforcement.matched import DrivenStretches
    from learned_sim_env.reinforcement.ranking_parts import exploit_part, ranking_part
    from learned_sim_env.reinforcement.transfer import ranked_name
    from learned_sim_env.reinforcement.transfer_page import driving_part

    results = {name: [read(job.path) for job in jobs] for name, jobs in plan.judged().items()}
    runs = {kind: [read(job.path / "run.json") for job in jobs] for kind, jobs in plan.runs().items()}
    found = {name: read(job.path) for name, job in plan.ranked().items()}
    sides = {
        name: (DrivenStretches.of_plain(v["dream"]), DrivenStretches.of_plain(v["twin"])) for name, v in found.items()
    }
    learned = plan.learned()
    agents = {kind: [read(job.path / "run.json") for job in jobs] for kind, jobs in learned.items() if jobs[0].learns}
    last = {kind: [job.path.name for job in jobs] for kind, jobs in learned.items()}
    last |= {kind: [ranked_name(job) for job in jobs] for kind, jobs in plan.runs().items()}
    ranking = [] if plan.only_agents else [ranking_part(sides)]
    planners = {kind: [job.path / METRICS for job in jobs] for kind, jobs in learned.items() if not jobs[0].learns}
    planning = [planning_part(planners)] if planners else []
    return [driving_part(results, runs, agents), *ranking, exploit_part(sides, last), *planning, *_recorded(plan)]


def _recorded(plan: AgentPlan) -> list[Part]:
    """What agents have learned from, if episodes were given."""
    from learned_sim_env.agents.results.recorded_page import recorded_parts
    from learned_sim_env.data.dataset import PackedData, packed_file

    if plan.data is None:
        return []
    return recorded_parts(PackedData.load(packed_file(plan.data)))


def _write(out: Path, about: dict[str, Any], parts: list[Part]) -> list[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from learned_sim_env.files import replacing, write_text
    from learned_sim_env.reporting.write import write_report

    page, values = write_report(out, "transfer", "From dream to simulator", about, parts)
    paths = [values, page, out / "transfer.md"]
    tables = [table for part in parts for table in part.tables]
    write_text(paths[2], "\n\n".join(f"## {table.title}\n\n{_markdown(table)}" for table in tables) + "\n")
    drawings = [draw for part in parts for draw in part.figures.values()]
    if not drawings:
        return paths
    paths.append(out / "transfer.png")
    figure = Figure(figsize=(12.0, 11.0), layout="constrained")
    FigureCanvasAgg(figure)
    upper, *lower = [part for row in figure.subfigures(2, 1, squeeze=False) for part in row]
    drawings[0](upper)
    for draw, part in zip(drawings[1:], lower[0].subfigures(1, len(drawings) - 1)):
        draw(part)
    with replacing(paths[3]) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    return paths


def _markdown(table: Table) -> str:
    rows = [table.head, ("---",) * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _command(args: TransferArgs) -> str:
    told = {f.name: (getattr(args, f.name), f.default) for f in fields(args) if f.name != "recipe"}
    told.update({f"recipe.{f.name}": (getattr(args.recipe, f.name), f.default) for f in fields(args.recipe)})
    words = {name: " ".join(map(str, v if isinstance(v, tuple) else (v,))) for name, (v, d) in told.items() if v != d}
    options = [f"--{name.replace('_', '-')} {value}" for name, value in words.items()]
    return " ".join(["learned-sim transfer", *options])


def _machine() -> dict[str, Any]:
    from learned_sim_env.benchmark.machine import Machine

    return {"machine": str(Machine.look())}
