"""Look for what makes a policy fail."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.locks import alone_in
from learned_sim_env.optional import require
from learned_sim_env.spec import unknown

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part


@dataclass(frozen=True)
class StressArgs:
    """Disturb a policy's drives through the dream, search for the smallest change that makes it crash, and check the
    twin.

    Writes stress.json, stress.html and the failures as cases that `learned-sim drive --case` drives again. The same
    command goes on where it was stopped.
    """

    policy: str = "follow-8"
    """The driver: follow-8 (along the route at 8 m/s, without regard to traffic), or another one by its name, such as
    careful, idm or random; a policy that ships; a .safetensors file; or your own, module:function."""
    strategies: tuple[str, ...] = ()
    """Which ones; all by default."""
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    """In (0, 1]."""
    together: tuple[str, ...] = ("injection", "weather")
    """Strategies that are also applied at once."""
    starts: int = 8
    """Scenarios of the suite to start from, evenly over all kinds."""
    seeds: int = 3
    """Of chance and perturbation, of every start and strength."""
    horizon: int = 100
    """Steps of a drive."""
    searches: int = 5
    """Adaptive and random searches from every start; 0: none."""
    rounds: int = 6
    """Rounds of a search, of 16 drives each."""
    twin: int = 0
    """Crashes of every strategy that are looked for in the twin, and all that the searches found; needs [metadrive]."""
    episodes: Path | None = None
    """Collection of recorded test episodes on which the model's warnings are judged, as `learned-sim evaluate` leaves
    it.
    """
    suite: str = "driving"
    """One that ships, or the path of a folder (./mine)."""
    checkpoint: str = "bev-rssm"
    """One that ships, the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    out: Path = Path("runs/stress")
    """Where to write."""
    rows: int = 128
    """Of a batch of dreams."""
    workers: int = 2
    """Simulator processes."""

    def command(self) -> str:
        """What to type to repeat it."""
        flags: list[str] = []
        for name, value in vars(self).items():
            if value not in (None, ()):
                flags += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
        return shlex.join(["learned-sim", "stress", *flags])


def run(args: StressArgs) -> int:
    """Disturb, search, confirm, write, print."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with alone_in(args.out):
        return _run(args)


def _run(args: StressArgs) -> int:
    from tqdm import tqdm

    from learned_sim_env.cli.suite_starts import open_suite, undrawable
    from learned_sim_env.evaluation.episode_sources import open_episodes
    from learned_sim_env.harness.engine.dream import DreamRunner
    from learned_sim_env.harness.engine.suite import Suite
    from learned_sim_env.harness.stress import stress_page as report
    from learned_sim_env.harness.stress.foresight import foresight_part
    from learned_sim_env.harness.stress.search import SPACES, SearchConfig, safe_starts, search
    from learned_sim_env.harness.stress.starting_moments import search_cases, sweep_cases
    from learned_sim_env.harness.stress.strategy_catalogue import STRATEGIES
    from learned_sim_env.harness.stress.sweep import applicable, sweep
    from learned_sim_env.world_model.checkpoint import from_pretrained

    # Rather now than at the end.
    require("matplotlib", extra="train")
    # Mistakes first: what it takes to see the starts may last a while.
    config = _config(args, len(Suite.load(args.suite).scenarios))
    checkpoint = from_pretrained(args.checkpoint)
    episodes = None
    if args.episodes is not None:
        episodes = open_episodes(args.episodes, "test", 1_000_000)
        episodes.check_contract(checkpoint.contract, checkpoint.model.observes)
    suite, pictures = open_suite(args.suite, checkpoint, args.out / "starts", args.workers)
    redrawn = any(STRATEGIES[name].redraws for name in (*config.strategies, *config.together))
    config, reasons = applicable(config, checkpoint.model, undrawable(pictures, config.starts) if redrawn else None)
    for name, reason in reasons.items():
        print(f"{name}: not applicable: {reason}")
    runner = DreamRunner(checkpoint, suite.starts, args.policy, args.rows, False, args.out / "drives", pictures)
    per = len(config.starts) * config.seeds
    began, total = time.perf_counter(), per * (1 + len(config.names) * len(config.strengths))
    with tqdm(total=total, desc="strategies", unit="drive", disable=None) as bar:
        found = sweep(runner, config, bar.update)
    print(f"{total} drives of {args.horizon} steps in {time.perf_counter() - began:.0f} s (kept ones take no time)")
    parts: list[Part] = [report.sweep_part(found, reasons)]
    cases = sweep_cases(found, most=max(args.twin, 1))
    safe = tuple(safe_starts(found.plain, found.plain_jobs))
    spaces = [name for name in SPACES if STRATEGIES[name].needs.lacking(checkpoint.model) is None]
    if args.searches and safe and spaces:
        searching = SearchConfig(safe, args.searches, rounds=args.rounds, horizon=min(60, args.horizon))
        drives = len(safe) * args.searches * searching.budget * len(spaces) * 2
        with tqdm(total=drives, desc="searches", unit="drive", disable=None) as bar:
            searched = {
                s: {m: search(runner, s, m, searching, bar.update) for m in ("adaptive", "random")} for s in spaces
            }
        parts.append(report.search_part(searched, searching))
        cases += search_cases(searched, found)
    parts += _cases(args, suite, runner, found, cases)
    if episodes is not None:
        parts.append(foresight_part(checkpoint.model, episodes, checkpoint.contract.dt))
    return _written(args, suite, checkpoint, parts)


def _config(args: StressArgs, scenarios: int) -> Any:
    from learned_sim_env.harness.stress.strategy_catalogue import SWEPT
    from learned_sim_env.harness.stress.sweep import SweepConfig

    known = [strategy.name for strategy in SWEPT]
    for name in (*args.strategies, *args.together):
        if name not in known:
            raise unknown("strategy", name, known)
    for name in ("starts", "seeds", "horizon", "rounds"):
        if getattr(args, name) < 1:
            raise ValueError(f"{name} is {getattr(args, name)}; at least 1 is needed")
    if not args.strengths or not all(0 < strength <= 1 for strength in args.strengths):
        raise ValueError(f"strengths are {args.strengths}; give some in (0, 1]")
    starts = tuple(int(i) for i in np.unique(np.linspace(0, scenarios - 1, min(args.starts, scenarios)).round()))
    return SweepConfig(
        starts, args.strategies or tuple(known), tuple(args.strengths), args.together, args.seeds, args.horizon
    )


def _cases(args: StressArgs, suite: Any, runner: Any, found: Any, cases: list[Any]) -> list[Part]:
    """Save the cases, look for them in the twin, show some."""
    from learned_sim_env.cli.checkpoint_env import env_id_for
    from learned_sim_env.harness.engine.job import Job
    from learned_sim_env.harness.engine.strips import strips
    from learned_sim_env.harness.engine.twin import TwinRunner
    from learned_sim_env.harness.stress import stress_page as report
    from learned_sim_env.harness.stress.cases import save_case
    from learned_sim_env.harness.stress.confirm import Confirmation, confirm
    from learned_sim_env.harness.stress.starting_moments import other_chances
    from learned_sim_env.reporting.parts import not_applicable

    if not cases:
        print("nothing made it crash")
        return []
    try:
        env_id = env_id_for(runner.checkpoint)
    except ValueError as error:
        print(f"cases: not applicable: {error}")
        return [not_applicable("cases", "Cases, to look at", str(error))]
    confirmations = [Confirmation("not asked")] * len(cases)
    if args.twin:
        from tqdm import tqdm

        twin = TwinRunner(env_id, suite.starts, args.policy, args.out / "twin")
        with tqdm(desc="twin", unit="drive", disable=None) as bar:
            confirmations = confirm(twin, [(c.job, c.drive) for c in cases], args.workers, bar.update)
    shares = other_chances(runner, cases)
    rows, shown = [], dict[str, Any]()
    for i, (case, confirmation, share) in enumerate(zip(cases, confirmations, shares)):
        name = f"{i:03d}-{case.found_by.replace(', ', '-').replace('+', '-')}.npz"
        origin = next(s.name for s in suite.scenarios if s.start == case.job.place(suite.starts))
        about = {
            "found_by": case.found_by,
            "size": round(case.job.size, 6),
            "scenario": origin,
            "ended_by": case.drive.end,
        }
        alone = save_case(args.out / "cases" / name, runner, case.job, case.drive, about, env_id)
        said = {True: "confirmed", False: "crashes anyway" if confirmation.anyway else "not confirmed"}
        rows.append(
            (
                name,
                case.found_by,
                f"{case.job.size:.3f}",
                origin,
                case.drive.end.replace("_", " ") + ("" if alone else " (alone: does not end)"),
                f"{case.drive.uncertainty.max():.3f}",
                "yes" if case.plausible else "no",
                f"{share:.2f}",
                "-" if confirmation.crashed is None else said[confirmation.confirmed],
            )
        )
        if case.found_by not in {key.split(":")[0] for key in shown} and len(shown) < 20:
            shown[f"{case.found_by}: {name}"] = case
    plain = [Job("undisturbed", c.job.place(suite.starts), c.job.seed, c.job.horizon) for c in shown.values()]
    films = runner.run([*plain, *(c.job for c in shown.values())], views=True)
    pictures = {
        caption: strips([films[k].views, films[len(shown) + k].views], case.job.horizon)
        for k, (caption, case) in enumerate(shown.items())
    }
    parts = [report.confirm_part([c.found_by for c in cases], confirmations)] if args.twin else []
    return [*parts, report.cases_part(rows, pictures)]


def _written(args: StressArgs, suite: Any, checkpoint: Any, parts: list[Part]) -> int:
    from learned_sim_env.reporting.write import print_tables, write_report

    about = {
        "policy": args.policy,
        "suite": f"{suite.name} {suite.fingerprint[:12]}",
        "model": f"{checkpoint.name} {checkpoint.fingerprint[:12]}",
        "command": args.command(),
    }
    written = write_report(args.out, "stress", f"What makes {args.policy} fail", about, parts)
    print_tables(parts, 22)
    print(f"\nwritten: {', '.join(map(str, written))}")
    return 0
