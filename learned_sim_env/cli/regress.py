"""Drive a policy through a suite of scenarios and judge it against a baseline."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from learned_sim_env.locks import alone_in
from learned_sim_env.optional import require
from learned_sim_env.settings import parse_settings

if TYPE_CHECKING:
    from learned_sim_env.harness.engine.dream import DreamRunner
    from learned_sim_env.harness.engine.job import DriveResult
    from learned_sim_env.harness.engine.suite import Suite
    from learned_sim_env.harness.engine.twin import TwinRunner
    from learned_sim_env.harness.regression.run import Run
    from learned_sim_env.harness.regression.verdict import Verdict


@dataclass(frozen=True)
class RegressArgs:
    """Drive a policy through a suite of scenarios, in the dream and in its twin, and judge it.

    Writes regress.json, junit.xml and regress.html, a page with film strips of what became worse. Exit status 1 says
    that the policy is worse than the baseline, or breaks a bound. The same command goes on where it was stopped, and
    always gives the same JSON.
    """

    policy: str = "follow-8"
    """The driver: follow-8 (along the route at 8 m/s, without regard to traffic), or another one by its name, such as
    careful, idm or random; a policy that ships; a .safetensors file; or your own, module:function."""
    baseline: Path | None = None
    """Folder of an earlier run that this one must not be worse than."""
    bounds: tuple[str, ...] = ()
    """What the means have to keep, as in: collision=0.1 success=0.8."""
    limits: tuple[str, ...] = ()
    """By how much a metric may be worse than the baseline's, instead of what the suite says."""
    worlds: Literal["both", "dream", "twin"] = "both"
    """Where to drive; the twin needs the extra [metadrive]."""
    simulator: str = ""
    """Another twin than the declared one, by name, such as recorded."""
    settings: tuple[str, ...] = ()
    """Of that simulator, as in: recordings=data/mine-v0, the folder of an import."""
    seeds: int = 3
    """Chances of every scenario in the dream."""
    scenarios: tuple[str, ...] = ()
    """Names or tags of scenarios; all by default."""
    perturb: tuple[str, ...] = ()
    """What to do to the policy, with a strength, as in: action_delay=0.5, half a second."""
    suite: str = "driving"
    """One that ships, or the path of a folder (./mine)."""
    checkpoint: str = "bev-rssm"
    """One that ships, the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    out: Path = Path("runs/regress")
    """Where to write."""
    rows: int = 128
    """Of a batch of dreams."""
    workers: int = 2
    """Simulator processes."""
    draw: Path | None = None
    """Draw the suite anew from this collection of test episodes, into the folder that --suite names, and drive nothing.
    """
    diff: bool = False
    """Drive nothing: compare the run that is in OUT with the baseline."""

    def command(self) -> str:
        """What to type to repeat it."""
        flags: list[str] = []
        for name, value in vars(self).items():
            if value not in (None, False, ()):
                values = () if value is True else value if isinstance(value, tuple) else (value,)
                flags += [f"--{name}", *map(str, values)]
        return shlex.join(["learned-sim", "regress", *flags])


def run(args: RegressArgs) -> int:
    """Drive, judge, write, print; the exit status is the verdict."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if args.draw is not None:
        return _draw(args)
    with alone_in(args.out):
        return _run(args)


def _run(args: RegressArgs) -> int:
    from learned_sim_env.cli.suite_starts import open_suite
    from learned_sim_env.harness.engine.dream import DreamRunner
    from learned_sim_env.harness.engine.suite import Suite
    from learned_sim_env.harness.regression import store
    from learned_sim_env.harness.regression.verdict import judge
    from learned_sim_env.world_model.checkpoint import from_pretrained

    # Rather now than at the end.
    require("matplotlib", extra="train")
    suite = Suite.load(args.suite)
    bounds, limits = _numbers(args.bounds), {**suite.limits, **_numbers(args.limits)}
    baseline = None if args.baseline is None else store.load(args.baseline, suite)
    if args.diff and baseline is None:
        raise ValueError("--diff compares with a baseline: give --baseline")
    checkpoint = from_pretrained(args.checkpoint)
    suite, pictures = open_suite(args.suite, checkpoint, args.out / "starts", args.workers)
    runner = DreamRunner(
        checkpoint, suite.starts, args.policy, args.rows, folder=args.out / "drives", pictures=pictures
    )
    drives: dict[str, list[DriveResult]] = {}
    if args.diff:
        now = store.load(args.out, suite)
    else:
        now, drives = _driven(args, suite, runner)
    if args.worlds != "both" and baseline is not None:
        for world in {"dream", "twin"} - {args.worlds}:
            baseline.worlds.pop(world, None)
    verdict = judge(now, baseline, limits, bounds)
    paths = store.save(args.out, now, verdict, drives)
    paths += _reports(args, baseline, now, verdict, runner)
    for world in now.worlds:
        found = now.summary(world)
        print(f"{world}: " + ", ".join(f"{m} {found[m].value:.3f}" for m in ("success", "collision", "violation")))
    print("passed" if verdict.passed else "NOT PASSED\n  " + "\n  ".join(verdict.reasons))
    print("written: " + ", ".join(map(str, paths)))
    return 0 if verdict.passed else 1


def _driven(args: RegressArgs, suite: Suite, runner: DreamRunner) -> tuple[Run, dict[str, list[DriveResult]]]:
    """The run, and its drives by world."""
    from tqdm import tqdm

    from learned_sim_env.cli.suite_starts import undrawable
    from learned_sim_env.harness.regression.run import Run, WorldResults, about, jobs_of
    from learned_sim_env.harness.stress.strategy_catalogue import parse

    scenarios = suite.select(args.scenarios)
    perturbations = tuple(parse(text) for text in args.perturb)
    for p in perturbations:
        if (lacking := p.needs.lacking(runner.checkpoint.model)) is not None:
            raise ValueError(f"--perturb {p.name} is not applicable: {lacking}")
        if p.redraws and (why := undrawable(runner.pictures, [s.start for s in scenarios])):
            raise ValueError(f"--perturb {p.name} is not applicable: {why}")
    drives: dict[str, list[DriveResult]] = {}
    twin, jobs_there = _twin(args, suite, runner), jobs_of(scenarios, 1, perturbations)
    if twin is not None:
        # Mistakes first: the dream may last a while.
        twin.prepared(jobs_there)
    if args.worlds != "twin":
        jobs = jobs_of(scenarios, args.seeds, perturbations)
        with tqdm(total=len(jobs), desc="dream", unit="drive", disable=None) as bar:
            drives["dream"] = runner.run(jobs, done=bar.update)
    if twin is not None:
        with tqdm(total=len(jobs_there), desc="twin", unit="drive", disable=None) as bar:
            drives["twin"] = twin.run(jobs_there, args.workers, done=bar.update)
        if all(drive.error for drive in drives["twin"]):
            raise ValueError(f"none of {len(jobs_there)} drives can be driven in the twin: {drives['twin'][0].error}")
    worlds = {name: WorldResults.of(name, some, scenarios, suite) for name, some in drives.items()}
    return Run(about(args.policy, perturbations, suite, runner.checkpoint.fingerprint), scenarios, worlds), drives


def _twin(args: RegressArgs, suite: Suite, runner: DreamRunner) -> TwinRunner | None:
    """What drives in the twin; None where it is not asked for, or there is none."""
    from learned_sim_env.cli.checkpoint_env import env_id_for
    from learned_sim_env.harness.engine.twin import TwinRunner
    from learned_sim_env.twins.pairing import twin_settings

    if args.worlds == "dream":
        return None
    try:
        env_id = env_id_for(runner.checkpoint)
        twin_settings(env_id, args.simulator)
    except ValueError as error:
        if args.worlds == "twin" or args.simulator:
            raise
        print(f"twin: not applicable: {error}")
        return None
    settings = parse_settings(args.settings)
    return TwinRunner(env_id, suite.starts, args.policy, args.out / "twin", simulator=args.simulator, settings=settings)


def _reports(args: RegressArgs, baseline: Run | None, now: Run, verdict: Verdict, runner: DreamRunner) -> list[Path]:
    """Write what people and build servers read."""
    from learned_sim_env.harness.regression import regression_page as report
    from learned_sim_env.harness.regression.junit import write_junit
    from learned_sim_env.harness.regression.worse import worse_pictures
    from learned_sim_env.reporting.html import write_html

    parts = [report.verdict_part(verdict)]
    if baseline is not None and args.baseline is not None and not verdict.passed:
        pictures = worse_pictures(verdict, (baseline, now), (args.baseline, args.out), runner)
        parts += [report.worse_part(pictures)] if pictures else []
    parts += [report.summary_part(now), report.coverage_part(now)]
    agreement = report.agreement_part(now)
    parts += [agreement] if agreement is not None else []
    about: dict[str, object] = {
        "policy": now.about["policy"],
        "suite": now.about["suite"],
        "model": now.about["model"][:12],
    }
    if now.about["perturbations"]:
        about["perturbed"] = [f"{p['name']}={p['strength']:g}" for p in now.about["perturbations"]]
    if baseline is not None:
        about["baseline"] = baseline.about["policy"]
    about["command"] = args.command()
    page, junit = args.out / "regress.html", args.out / "junit.xml"
    write_html(page, f"Regression of {now.about['policy']}", about, parts)
    write_junit(junit, now, baseline, verdict)
    return [junit, page]


def _draw(args: RegressArgs) -> int:
    from learned_sim_env.evaluation.episode_sources import open_episodes
    from learned_sim_env.harness.engine.suite import Suite
    from learned_sim_env.harness.regression.draw import draw

    assert args.draw is not None
    folder = Suite.folder(args.suite)
    data = open_episodes(args.draw, "test", 1_000_000)
    draw(data, name=folder.name).save(folder)
    suite = Suite.load(folder)
    kinds = sorted({tag for s in suite.scenarios for tag in s.tags})
    print(f"{len(suite.scenarios)} scenarios of {len(kinds)} kinds, written: {folder}")
    return 0


def _numbers(pairs: tuple[str, ...]) -> dict[str, float]:
    numbers = {}
    for name, value in parse_settings(pairs).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name}={value} is no number: give a metric and a number, as collision=0.1")
        numbers[name] = float(value)
    return numbers
