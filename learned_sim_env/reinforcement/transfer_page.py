"""What the experiment from dream to twin has shown, as parts of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reinforcement.matched import DrivenStretches
from learned_sim_env.reinforcement.ranking import Ranking, rank
from learned_sim_env.reporting.display import STYLES, at, number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import CONTRACTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPLICATES = 2000
DT = CONTRACTS["driving"].dt
PER_KM, COST_PER_KM = "collisions_per_km", "cost_per_km"
# Of an episode: heading, digits. The ends are shares of episodes.
MEASURES = {
    "score": ("driving score", 2),
    "completion": ("route completion", 2),
    "arrival": ("success", 2),
    "collision": ("collision", 2),
    PER_KM: ("collisions per km", 1),
    "off_road": ("off road", 2),
    "speed": ("speed [m/s]", 1),
    "jerk": ("jerk [m/s^3]", 1),
    "reward": ("return", 1),
    "cost": ("cost", 1),
    COST_PER_KM: ("cost per km", 1),
}
ENDS = ("arrival", "collision", "off_road")
PPO = "PPO of Stable-Baselines3 with one network and one set of hyper-parameters, in the dream and in MetaDrive. "
# [km] A driver that has driven less than this in all is not judged by the distance.
LEAST_KM = 1.0


def measured(runs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Estimate]:
    """Means of `MEASURES` over all episodes of one or more runs, which drove the same scenarios.

    Intervals come from resampling scenarios and, where there are several, runs.
    """
    episodes, several = len(runs[0]), len(runs)
    by_episode = resample(np.arange(episodes), episodes, REPLICATES, seed=0)
    by_run = resample(np.arange(several), several, REPLICATES, seed=1)

    def total(values: list[list[float]]) -> np.ndarray:
        return np.einsum("rs,se,re->r", by_run, np.array(values, np.float64), by_episode)

    count, found = by_run.sum(1) * by_episode.sum(1), dict[str, Estimate]()
    for name in MEASURES:
        if name not in (PER_KM, COST_PER_KM):
            values = [[e["end"] == name if name in ENDS else e[name] for e in run] for run in runs]
            found[name] = Estimate.of(total(values) / count)
    km = total([[e["speed"] * e["steps"] * DT / 1000 for e in run] for run in runs])
    driven = km if km[0] > LEAST_KM else 0 * km
    crashes = total([[e["end"] == "collision" for e in run] for run in runs])
    found[PER_KM] = Estimate.of(ratio(crashes, driven))
    found[COST_PER_KM] = Estimate.of(ratio(total([[e["cost"] for e in run] for run in runs]), driven))
    return found


def driving_part(
    results: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    runs: Mapping[str, list[Any]],
    agents: Mapping[str, list[Any]] = {},
) -> Part:
    """How well each driver drives in the simulator, and what its training took.

    Args:
        results: episodes by driver: a list of runs each.
        runs: what `ppo.train` returned, by kind; none, if agents are compared among themselves.
        agents: "steps" and "seconds" of the runs of others that have learned, by kind.
    """
    found = {name: measured(several) for name, several in results.items()}
    head = ("driver", "runs", *(title for title, _ in MEASURES.values()))
    rows = tuple(
        (name, str(len(results[name])), *(text(values[key], digits) for key, (_, digits) in MEASURES.items()))
        for name, values in found.items()
    )
    took = {
        kind: {
            "place": several[0]["place"],
            "steps": several[0]["steps"],
            "seconds": float(np.mean([run["seconds"] for run in several])),
            "env_share": float(np.mean([run["env_seconds"] / run["seconds"] for run in several])),
            "steps_per_second": float(np.mean([run["steps"] / run["seconds"] for run in several])),
        }
        for kind, several in runs.items()
    } | {
        kind: {
            "place": "imagination",
            "steps": round(np.mean([run["steps"] for run in several])),
            "seconds": float(np.mean([run["seconds"] for run in several])),
            "env_share": None,
            "steps_per_second": float(np.mean([run["steps"] / max(run["seconds"], 1e-9) for run in several])),
        }
        for kind, several in agents.items()
    }
    true = next((kind for kind, values in took.items() if values["place"] == "twin"), None)
    claims = {
        kind: {
            "share of the twin-trained score": float(found[kind]["score"].value / found[true]["score"].value),
            "share of its wall-clock": values["seconds"] / took[true]["seconds"],
        }
        for kind, values in took.items()
        if true is not None
    }
    effort = tuple(
        (
            kind,
            f"{values['steps']:,}",
            number(values["seconds"] / 60, 1),
            f"{values['steps_per_second']:,.0f}",
            "" if values["env_share"] is None else f"{values['env_share']:.0%}",
            *(
                (
                    f"{claims[kind]['share of its wall-clock']:.2f}",
                    f"{claims[kind]['share of the twin-trained score']:.2f}",
                )
                if claims
                else ("", "")
            ),
        )
        for kind, values in took.items()
    )
    effort_head = (
        "trained in",
        "environment steps",
        "minutes",
        "steps/s",
        "time in the environment",
        "time, twin = 1",
        "score, twin = 1",
    )
    return Part(
        name="driving",
        title="Learned in the dream, driven in the simulator",
        method=(
            f"{PPO if runs else 'Agents that learned in imagination, or plan in it. '}"
            "Every driver then drives the same whole episodes of MetaDrive on scenarios that no policy "
            "was trained on. Driving "
            "score: share of the route, times 0.6 after running into a vehicle and 0.65 into an object, times the "
            "share of time not against the traffic. Intervals (95%) resample scenarios and, of several, runs. "
            "Times are of one process with one thread each, side by side on this machine."
        ),
        limits=(
            f"{_seen(next(iter(runs.values()))[0]['recipe']) + ' ' if runs else ''}"
            "Few runs of each kind tell little about how much luck there is in a run."
        ),
        tables=(
            Table("Whole episodes in the simulator", head, rows),
            Table("What learning took", effort_head, effort),
        ),
        values={"drivers": plain(found), "training": took, "compared": claims},
        figures={"Learning curves: reward a step where it is learned": lambda figure: _curves(figure, runs)}
        if runs
        else {},
    )


def _seen(recipe: Mapping[str, Any]) -> str:
    """What drivers see, where policies are trained by a `Recipe`."""
    if recipe["sees"] == "rays":
        return "MetaDrive's expert and IDM driver read the simulator, the others see 48 m x 48 m from above."
    aids = {
        "their value networks are shown how far rays from the ego go in the view from above": recipe["privileged"],
        "the network of cameras learns to read such rays off pictures": recipe["reading"] > 0,
    }
    used = " and ".join(aid for aid, is_used in aids.items() if is_used)
    learning = f"While they learn, {used}: in the dream the dream's, in MetaDrive MetaDrive's. " if used else ""
    return (
        "Policies that have learned see three cameras, the ego vector and the route; those without pictures the latter "
        f"two alone. {learning}MetaDrive's expert and IDM driver read the simulator; careful, and the policy that "
        "ships, see 48 m x 48 m from above."
    )


def ranking_part(sides: Mapping[str, tuple[DrivenStretches, DrivenStretches]]) -> Part:
    """Whether the dream puts policies in the simulator's order."""
    found = {quantity: rank(sides, quantity) for quantity in ("reward", "cost")}
    head = (
        "quantity",
        "policies",
        "Pearson",
        "Spearman",
        "Spearman of the simulator with itself",
        "mean maximum rank violation",
    )
    rows = tuple(
        (
            name,
            str(len(r.names)),
            text(r.pearson, 3),
            text(r.spearman, 3),
            number(r.twin_itself, 3),
            text(r.mmrv, 2),
        )
        for name, r in found.items()
    )
    return Part(
        name="ranking",
        title="Does the dream rank policies as the simulator does?",
        method=(
            "Every policy drives from the same real moments in the dream (several times each, with different chance) "
            "and in the simulator, which is driven to each of them. Return and cost are summed up to the end of the "
            "episode or of the stretch, and averaged. Intervals (95%) resample the moments. How well the simulator's "
            "order agrees with the one that it would give from as many other moments follows from halves of them."
        ),
        limits=(
            "MetaDrive's own drivers read the simulator and cannot drive in a dream: they are not among these. The "
            "stretch is shorter than an episode. Intervals do not say what other policies would give."
        ),
        tables=(Table("Agreement over all policies", head, rows),),
        values={name: plain(vars(r)) for name, r in found.items()},
        figures={f"Mean {name}, dream against simulator": partial(scatter, ranking=r) for name, r in found.items()},
    )


def exploit_part(
    sides: Mapping[str, tuple[DrivenStretches, DrivenStretches]], kinds: Mapping[str, Sequence[str]]
) -> Part:
    """Where trained policies get more from the dream than the simulator gives.

    Args:
        sides: dream and twin, by policy.
        kinds: names of the last policies of each kind of run.
    """
    rows: list[tuple[str, ...]] = []
    values: dict[str, dict[str, dict[str, float]]] = {}
    for kind, names in kinds.items():
        told = {side: [sides[name][i] for name in names] for i, side in enumerate(("dream", "simulator"))}
        values[kind] = {}
        for side, several in told.items():
            ends = [end for driven in several for end in driven.end]
            mean = {
                "return": float(np.mean([d.reward.mean() for d in several])),
                "cost": float(np.mean([d.cost.mean() for d in several])),
                "steps": float(np.mean([d.steps.mean() for d in several])),
                "speed": float(np.mean([d.speed.mean() for d in several])),
                **{end: float(np.mean([e == end for e in ends])) for end in ENDS},
            }
            values[kind][side] = mean
            rows.append((kind, side, *(number(v, 2) for v in mean.values())))
    return Part(
        name="exploits",
        title="Can the dream be cheated?",
        method=(
            "The last policies of each kind of run, from the same moments in dream and simulator as in the ranking. A "
            "policy that found a hole in the dream has a higher return there, and other ends."
        ),
        limits="Only what these policies found. Differences in ends also come from luck, which the dream samples.",
        tables=(
            Table(
                "The same policies from the same moments",
                ("trained in", "driven in", "return", "cost", "steps", "speed", "arrival", "collision", "off road"),
                tuple(rows),
            ),
        ),
        values=values,
    )


def scatter(figure: Figure, ranking: Ranking) -> None:
    """A point a policy with both intervals, and the line of agreement."""
    axes = figure.subplots()
    x, y = ranking.dream, ranking.twin
    trained = np.array([" steps" in name for name in ranking.names])
    for chosen, label, (colour, _) in ((trained, "learned", STYLES[0]), (~trained, "scripted", STYLES[2])):
        if chosen.any():
            a, b = at(x, chosen), at(y, chosen)
            axes.errorbar(
                a.value,
                b.value,
                xerr=np.abs([a.value - a.low, a.high - a.value]),
                yerr=np.abs([b.value - b.low, b.high - b.value]),
                fmt="o",
                markersize=4,
                linewidth=0.8,
                color=colour,
                label=label,
            )
    ends = [min(x.value.min(), y.value.min()), max(x.value.max(), y.value.max())]
    axes.plot(ends, ends, color="#8a8a8a", linestyle=":", label="agreement")
    for name, a, b in zip(ranking.names, x.value, y.value):
        if " steps" not in name:
            axes.annotate(name, (a, b), fontsize=7, xytext=(4, 3), textcoords="offset points")
    axes.set(
        xlabel=f"mean {ranking.quantity} in the dream",
        ylabel=f"mean {ranking.quantity} in the simulator",
        title=f"Pearson {text(ranking.pearson, 2)}, Spearman {text(ranking.spearman, 2)}",
    )
    axes.legend(frameon=False)


def _curves(figure: Figure, runs: Mapping[str, list[Any]]) -> None:
    axes = figure.subplots(1, 2, sharey=True)
    for (kind, several), (colour, line) in zip(runs.items(), STYLES):
        for i, run in enumerate(several):
            rewards = _smooth(np.array([row["reward"] for row in run["curve"]]))
            for panel, key, unit in zip(axes, ("steps", "seconds"), (1.0, 60.0)):
                panel.plot(
                    [row[key] / unit for row in run["curve"]],
                    rewards,
                    color=colour,
                    linestyle=line,
                    linewidth=1.0,
                    label=kind if i == 0 else None,
                )
    axes[0].set(xlabel="environment steps", ylabel="reward a step", xscale="log")
    axes[1].set(xlabel="minutes of wall-clock", xscale="log")
    axes[0].legend(frameon=False, fontsize=8)


def _smooth(values: np.ndarray, width: int = 5) -> np.ndarray:
    """Running mean over the last `width` values."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - width + 1, 0)
    return (sums[1:] - sums[first]) / (np.arange(1, len(values) + 1) - first)
