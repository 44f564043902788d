"""What a stress test found, as parts of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.harness.engine.job import DriveResult
from learned_sim_env.harness.stress.confirm import DRIVEN, NONE, REPLAYED, Confirmation
from learned_sim_env.harness.stress.search import METHODS, Found, SearchConfig
from learned_sim_env.harness.stress.sweep import Sweep
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reporting.display import STYLES, at, curve, number, plain, text
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPLICATES = 1000


def _rate(happened: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> Estimate:
    """Share of drives (N,) bool that count, interval by resampling starts (N,) int64 and with them all seeds."""
    weights = resample(starts, int(starts.max()) + 1, REPLICATES, seed=0)
    return Estimate.of(ratio(weights @ (happened & counts), weights @ counts))


def sweep_part(found: Sweep, not_applicable: Mapping[str, str] | None = None) -> Part:
    """How often each strategy makes the policy crash, by strength.

    not_applicable: why others were not tried, by name.
    """
    reasons = not_applicable or {}
    config = found.config
    starts = np.arange(len(found.plain)) // config.seeds
    rows, values, rates = [], dict[str, dict[str, Any]](), dict[str, list[Estimate]]()
    for name in config.names:
        for strength in config.strengths:
            estimates, failed = _rates(found, name, strength, starts)
            rates.setdefault(name, []).append(estimates["success"])
            rows.append((name, f"{strength:g}", *(text(e, 2) for e in estimates.values()), str(failed)))
            values.setdefault(name, {})[f"{strength:g}"] = {**plain(estimates), "failed_to_run": failed}
    plain_crash = _rate(np.array([d.crashed for d in found.plain]), np.ones(len(found.plain), bool), starts)
    head = ("strategy", "strength", "makes crash", "and plausibly", "collisions", "violations", "broken off", "errors")

    return Part(
        name="strategies",
        title="What makes it crash, and how strong that has to be",
        method=(
            f"{len(config.starts)} starts of the suite, {config.seeds} seeds each, {config.horizon} steps. A strategy "
            "succeeds where the drive ends in a collision or off the road and the undisturbed drive of the same start "
            f"and chance does not (undisturbed crash rate {text(plain_crash, 2)}). Plausible are drives in which the "
            f"model was never more uncertain than {found.doubt:.3f}, which all but 1 in 100 undisturbed drives keep. "
            "Broken off are drives in which its uncertainty went over its bound. 95% intervals resample starts."
        ),
        limits=(
            "Strengths of different strategies are not the same amount of anything. Chance differs once a drive is "
            "disturbed at all, so that even a harmless change makes some drives crash: compare with strength near "
            "zero. Uncertainty is low as well where the model does not know that it is wrong."
        ),
        tables=(
            Table("Share of drives", head, tuple(rows)),
            *((Table("Not applicable", ("strategy", "because"), tuple(reasons.items())),) if reasons else ()),
        ),
        values={
            "undisturbed": plain(plain_crash),
            "doubt": plain(found.doubt),
            **({"not_applicable": dict(reasons)} if reasons else {}),
            **values,
        },
        figures={"Success against strength": partial(_draw_success, rates, config.strengths)} if rates else {},
    )


def _rates(found: Sweep, name: str, strength: float, starts: np.ndarray) -> tuple[dict[str, Estimate], int]:
    """Shares of the drives under a strategy of a strength, and how many failed to run. starts: (N,) int64, of each."""
    drives = found.drives[name, strength]
    crashed, counts = found.attacked((name, strength))
    everything = np.array([not d.error for d in drives])
    plausible = np.array([found.plausible(d) for d in drives])
    estimates = {
        "success": _rate(crashed, counts, starts),
        "plausible_success": _rate(crashed & plausible, counts, starts),
        "collision": _rate(np.array([d.end == "collision" for d in drives]), everything, starts),
        "violation": _rate(np.array([d.violated for d in drives]), everything, starts),
        "broken_off": _rate(np.array([d.broken_off for d in drives]), everything, starts),
    }
    return estimates, int((~everything).sum())


def _draw_success(rates: dict[str, list[Estimate]], strengths: Sequence[float], figure: Figure) -> None:
    """Success against strength, a panel a strategy."""
    names = list(rates)
    columns = 4
    lines = -(-len(names) // columns)
    figure.set_size_inches(11, 2.1 * lines)
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, name in zip(axes, names):
        both = Estimate(*(np.array([getattr(e, k) for e in rates[name]]) for k in ("value", "low", "high")))
        curve(axis, strengths, both, name, STYLES[0])
        axis.set(title=name.replace("_", " "), ylim=(-0.02, 1.02), xlim=(0, 1.02))
        axis.title.set_fontsize(9)
        axis.grid(alpha=0.3)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis in axes[-columns:]:
        axis.set_xlabel("strength")


def confirm_part(names: Sequence[str], confirmations: Sequence[Confirmation]) -> Part:
    """Which crashes the twin confirms. names: strategy of every case."""
    rows, values = [], {}
    for name in [*dict.fromkeys(names), "all"]:
        mine = [c for n, c in zip(names, confirmations) if name in (n, "all")]
        known = [c for c in mine if c.crashed is not None and c.anyway is False]
        hit = np.array([bool(c.crashed) for c in known], bool)
        weights = resample(np.arange(len(hit)), max(len(hit), 1), REPLICATES, seed=0)
        share = Estimate.of(ratio(weights @ hit, weights.sum(1)))
        ways = [sum(c.how == how for c in mine) for how in (DRIVEN, REPLAYED, NONE)]
        unknown = sum(c.how != NONE and c.crashed is None for c in mine)
        anyway = sum(bool(c.anyway) for c in mine)
        rows.append(
            (
                name,
                str(len(mine)),
                *map(str, ways),
                str(unknown),
                str(anyway),
                f"{hit.sum()} of {len(hit)}",
                text(share, 2),
            )
        )
        values[name] = {"cases": len(mine), "known": len(known), "confirmed": int(hit.sum()), "share": plain(share)}
    head = ("found by", "cases", "driven", "replayed", "no twin state", "failed", "crash anyway", "confirmed", "share")
    return Part(
        name="confirmed",
        title="Does the twin crash as well?",
        method=(
            "Cases that crash in the dream are looked for in the simulator, from the very same moment. Driven: the "
            "policy drives there too, what it sees or does disturbed alike. Replayed: the actions of the dream are "
            "taken, since a latent cannot be disturbed in a simulator. Cases whose start never was have no twin state. "
            "Where the undisturbed policy crashes in the twin anyway, nothing is confirmed, and the case is not "
            "counted."
        ),
        limits=(
            "A replay of actions in a world whose others react is a hard test: a crash that is not confirmed may still "
            "be one that could happen. The simulator is not the world either."
        ),
        tables=(Table("Cases in the twin", head, tuple(rows)),),
        values=values,
    )


def search_part(found: Mapping[str, Mapping[str, Sequence[Found]]], config: SearchConfig) -> Part:
    """The smallest perturbations that make it crash. found: by space and method."""
    rows, values = [], {}
    for space, by in found.items():
        values[space] = dict[str, Any]()
        for method in METHODS:
            last = np.array([f.sizes[-1] for f in by[method]]).reshape(len(config.starts), config.seeds)
            success = np.isfinite(last).mean()
            # Where nothing was found, the size counts as 1: larger than any that is.
            per_seed = np.where(np.isfinite(last), last, 1.0).mean(0)
            rows.append(
                (
                    space.replace("_", " "),
                    method,
                    f"{success:.2f}",
                    *(number(float(v), 3) for v in per_seed),
                    number(float(per_seed.mean()), 3),
                )
            )
            values[space][method] = {
                "success": plain(success),
                "mean_size_by_seed": plain(per_seed),
                "mean_size": plain(per_seed.mean()),
            }
        a, b = (np.array([min(f.sizes[-1], 1.0) for f in by[m]]) for m in METHODS)
        starts = np.arange(len(a)) // config.seeds
        weights = resample(starts, int(starts.max()) + 1, REPLICATES, seed=0)
        less = Estimate.of(ratio(weights @ (b - a), weights.sum(1)))
        values[space]["random_less_adaptive"] = plain(less)
        rows.append((space.replace("_", " "), "random - adaptive", "", *[""] * config.seeds, text(less, 3)))

    head = ("perturbation", "search", "found", *(f"seed {k}" for k in range(config.seeds)), "mean size")
    return Part(
        name="search",
        title="The smallest change that makes it crash",
        method=(
            f"{len(config.starts)} starts from which the undisturbed policy does not crash, {config.seeds} searches "
            f"each, {config.budget} drives a search. Adaptive: the cross-entropy method, {config.population} drives a "
            "round. Random: as many, drawn evenly from the same bounds. Size of a pulse on the controls: root mean "
            "square over ten seconds of both, as a share of full deflection; of a vehicle that is placed: how near, 0 "
            "at the edge of the view. Where nothing was found the size counts as 1. The interval of the difference "
            "resamples starts."
        ),
        limits=(
            "Evenly drawn parameters are large on average; a search that drew small ones would do better. The dream's "
            "chance is fixed for a start, so that a search may find a change of luck rather than of driving: how often "
            "the smallest ones crash under other chances is told with the cases."
        ),
        tables=(Table("Mean of the smallest sizes over starts", head, tuple(rows)),),
        values=values,
        figures={"By drives spent": partial(_draw_sizes, found, config)},
    )


def _draw_sizes(found: Mapping[str, Mapping[str, Sequence[Found]]], config: SearchConfig, figure: Figure) -> None:
    """The smallest size that crashes by drives spent, a panel a space."""
    axes = figure.subplots(1, len(found), squeeze=False)[0]
    for axis, (space, by) in zip(axes, found.items()):
        for method, style in zip(METHODS, STYLES):
            sizes = np.minimum(np.array([f.sizes for f in by[method]]), 1.0)
            weights = resample(np.arange(len(sizes)) // config.seeds, len(config.starts), REPLICATES, seed=0)
            mean = Estimate.of(ratio(weights @ sizes, weights.sum(1, keepdims=True)))
            curve(axis, (np.arange(config.rounds) + 1) * config.population, at(mean, slice(None)), method, style)
        axis.set(title=space.replace("_", " "), xlabel="drives", ylabel="smallest size that crashes", ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)


def cases_part(rows: Sequence[tuple[str, ...]], pictures: Mapping[str, np.ndarray]) -> Part:
    """The saved cases, with film strips."""
    head = ("file", "strategy", "size", "from", "ended by", "uncertainty", "plausible", "other chances", "twin")
    return Part(
        name="cases",
        title="Cases, to look at",
        method=(
            "For every strategy the weakest plausible case, and the smallest that each search found. Above the "
            "undisturbed drive, below the case. `learned-sim drive --case FILE` drives it again, exactly. Other "
            "chances: share of eight other chances of the dream under which the same perturbation crashes."
        ),
        limits="Chosen as the weakest of many: they show what is possible, and not how likely it is.",
        tables=(Table("Saved cases", head, tuple(rows)),),
        values={"files": [row[0] for row in rows]},
        pictures=dict(pictures),
    )


def ends(drive: DriveResult) -> str:
    """How a drive ended, in words."""
    return drive.end.replace("_", " ") or "horizon"
