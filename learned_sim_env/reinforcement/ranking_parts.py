"""Whether dream and simulator agree on policies, and where not: parts of the report on the transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.reinforcement.matched import DrivenStretches
from learned_sim_env.reinforcement.ranking import Ranking, rank
from learned_sim_env.reinforcement.transfer_page import ENDS
from learned_sim_env.reporting.display import STYLES, at, number, plain, text
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
