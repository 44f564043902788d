"""What the experiment from dream to twin has shown, as parts of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reporting.display import STYLES, number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import CONTRACTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPLICATES = 2000
DT = CONTRACTS["driving"].dt
PER_KM = "collisions_per_km"
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
}
ENDS = ("arrival", "collision", "off_road")
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
        if name != PER_KM:
            values = [[e["end"] == name if name in ENDS else e[name] for e in run] for run in runs]
            found[name] = Estimate.of(total(values) / count)
    crashes = total([[e["end"] == "collision" for e in run] for run in runs])
    km = total([[e["speed"] * e["steps"] * DT / 1000 for e in run] for run in runs])
    found[PER_KM] = Estimate.of(ratio(crashes, km if km[0] > LEAST_KM else 0 * km))
    return found


def driving_part(
    results: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    runs: Mapping[str, list[Any]],
    agents: Mapping[str, list[Any]] = {},
) -> Part:
    """How well each driver drives in the simulator, and what its training took.

    Args:
        results: episodes by driver: a list of runs each.
        runs: what `ppo.train` returned, by kind.
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
    true = next(kind for kind, values in took.items() if values["place"] == "twin")
    claims = {
        kind: {
            "share of the twin-trained score": float(found[kind]["score"].value / found[true]["score"].value),
            "share of its wall-clock": values["seconds"] / took[true]["seconds"],
        }
        for kind, values in took.items()
    }
    effort = tuple(
        (
            kind,
            f"{values['steps']:,}",
            number(values["seconds"] / 60, 1),
            f"{values['steps_per_second']:,.0f}",
            "" if values["env_share"] is None else f"{values['env_share']:.0%}",
            f"{claims[kind]['share of its wall-clock']:.2f}",
            f"{claims[kind]['share of the twin-trained score']:.2f}",
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
            "PPO of Stable-Baselines3 with one network and one set of hyper-parameters, in the dream and in MetaDrive. "
            "Every driver then drives the same whole episodes of MetaDrive on scenarios that no policy "
            "was trained on. Driving "
            "score: share of the route, times 0.6 after running into a vehicle and 0.65 into an object, times the "
            "share of time not against the traffic. Intervals (95%) resample scenarios and, of several, runs. "
            "Times are of one process with one thread each, side by side on this machine."
        ),
        limits=(
            f"{_seen(next(iter(runs.values()))[0]['recipe'])} "
            "Few runs of each kind tell little about how much luck there is in a run."
        ),
        tables=(
            Table("Whole episodes in the simulator", head, rows),
            Table("What learning took", effort_head, effort),
        ),
        values={"drivers": plain(found), "training": took, "compared": claims},
        figures={"Learning curves: reward a step where it is learned": lambda figure: _curves(figure, runs)},
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
