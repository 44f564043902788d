"""What two environments, driven alike, have in common and what not, as parts of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reporting.display import STYLES, number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import SemanticClass
from learned_sim_env.twins.driven_episodes import PICTURED, DrivenEpisode, pooled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Quantities of a step, with units.
QUANTITIES = {
    "speed": "m/s",
    "acceleration": "m/s²",
    "yaw_rate": "rad/s",
    "headway": "s",
    "reward": "a step",
    "cost": "a step",
}
REPLICATES = 500
# Quantiles between which distributions are compared and drawn.
QUANTILES = np.linspace(0.005, 0.995, 199)


def compare(names: tuple[str, str], sides: tuple[Sequence[DrivenEpisode], Sequence[DrivenEpisode]]) -> list[Part]:
    """Parts on motion and worth, on ends, and on what the view shows.

    Args:
        names: of the two environments.
        sides: episodes of each, of the same scenarios and drivers.

    Raises:
        ValueError: if one of them has no episode.
    """
    for name, episodes in zip(names, sides):
        if not episodes:
            raise ValueError(f"{name} drove no episode: no scenario of the plan is to be had in both")
    return [_distributions(names, sides), _ends(names, sides), _views(names, sides)]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein distance of two samples (N,), (M,): by how much their quantiles differ, on average."""
    if not len(a) or not len(b):
        return float("nan")
    return float(np.abs(np.quantile(a, QUANTILES) - np.quantile(b, QUANTILES)).mean())


def mean_of(episodes: Sequence[DrivenEpisode], name: str) -> Estimate:
    """Mean over all steps, with the interval that other episodes might give."""
    values, owner = pooled(episodes, name)
    weights = resample(owner, len(episodes), REPLICATES, seed=0)
    return Estimate.of(ratio(weights @ values, weights.sum(-1)))


def _distributions(names: tuple[str, str], sides: tuple[Sequence[DrivenEpisode], Sequence[DrivenEpisode]]) -> Part:
    rows, values = [], {}
    for name, unit in QUANTITIES.items():
        means = [mean_of(episodes, name) for episodes in sides]
        a, b = (pooled(episodes, name)[0] for episodes in sides)
        apart = distance(a, b)
        rows.append((f"{name.replace('_', ' ')} [{unit}]", *(text(m, 3) for m in means), number(apart, 3)))
        values[name] = {"means": dict(zip(names, map(plain, means))), "distance": plain(apart)}
    return Part(
        name="distributions",
        title="How they drive",
        method=(
            "The same drivers, which know the observation alone, in the same kinds of scenario. Means over all steps "
            "with 95% intervals by resampling episodes; the distance is Wasserstein's, in the quantity's own unit. "
            "Headway is the time to the next vehicle straight ahead, where there is a view from above."
        ),
        limits=(
            "The scenarios are of the same kinds, not the same places: roads and traffic differ, and with them all "
            "that follows; and dreams and recordings begin in motion, other simulators at rest. A difference here is "
            "one of worlds as much as of dynamics."
        ),
        tables=(Table("Means and distances", ("quantity", *names, "distance"), tuple(rows)),),
        values=values,
        figures={"Distributions": _histograms(names, sides)},
    )


def _histograms(
    names: tuple[str, str], sides: tuple[Sequence[DrivenEpisode], Sequence[DrivenEpisode]]
) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots(2, 2).ravel()
        for axis, quantity in zip(axes, ("speed", "acceleration", "headway", "reward")):
            samples = [pooled(episodes, quantity)[0] for episodes in sides]
            both = np.concatenate(samples)
            if not len(both):
                continue
            low, high = np.quantile(both, (0.005, 0.995))
            edges = np.linspace(low, high if high > low else low + 1.0, 41)
            for sample, name, (colour, line) in zip(samples, names, STYLES):
                share = np.histogram(sample, edges)[0] / max(len(sample), 1)
                axis.stairs(share, edges, color=colour, linestyle=line, label=name)
            axis.set_xlabel(f"{quantity} [{QUANTITIES[quantity]}]")
            axis.set_ylabel("share of steps")
        axes[0].legend(frameon=False)

    return draw


def _ends(names: tuple[str, str], sides: tuple[Sequence[DrivenEpisode], Sequence[DrivenEpisode]]) -> Part:
    counts = [Counter((e.scenario, e.end or "still driving") for e in episodes) for episodes in sides]
    keys = sorted(set(counts[0]) | set(counts[1]))
    totals = [Counter(e.scenario for e in episodes) for episodes in sides]
    rows = tuple(
        (scenario, end.replace("_", " "), *(f"{c[scenario, end]} of {t[scenario]}" for c, t in zip(counts, totals)))
        for scenario, end in keys
    )
    values: dict[str, Any] = {
        name: {f"{scenario}/{end}": n for (scenario, end), n in sorted(c.items())} for name, c in zip(names, counts)
    }
    return Part(
        name="ends",
        title="How their episodes end",
        method="Every episode of every driver, by scenario.",
        limits="A few episodes a scenario: a difference of one or two says nothing.",
        tables=(Table("Ends", ("scenario", "end", *names), rows),),
        values=values,
    )


def _views(names: tuple[str, str], sides: tuple[Sequence[DrivenEpisode], Sequence[DrivenEpisode]]) -> Part:
    views = _tables(names, sides, "classes", [kind.name.lower() for kind in SemanticClass])
    views |= _tables(names, sides, "pictures", PICTURED)
    return Part(
        name="views",
        title="What their views show",
        method=(
            "In percent, with 95% intervals by resampling episodes: the share of all pixels of a class, and of a "
            "camera's pictures the mean brightness, its standard deviation, and how much neighbouring pixels differ."
        ),
        limits="Frequencies say nothing of shapes: a view may have the right amounts in the wrong places.",
        tables=tuple(table for table, _ in views.values()),
        values={view: values for view, (_, values) in views.items()},
    )


def _tables(
    names: tuple[str, str],
    sides: tuple[Sequence[DrivenEpisode], Sequence[DrivenEpisode]],
    kind: str,
    labels: Sequence[str],
) -> dict[str, tuple[Table, dict[str, Any]]]:
    """A table and its values for each view of a kind, "classes" or "pictures", that both sides show."""
    found = {}
    for view in getattr(sides[0][0], kind):
        if view not in getattr(sides[1][0], kind):
            continue
        rows, values = [], {}
        for i, label in enumerate(labels):
            shares = []
            for episodes in sides:
                of_episode = np.array([getattr(e, kind)[view][i] for e in episodes])
                weights = resample(np.arange(len(episodes)), len(episodes), REPLICATES, seed=0)
                shares.append(Estimate.of(ratio(weights @ of_episode, weights.sum(-1))))
            rows.append((label.replace("_", " "), *(text(s, 2, 100.0) for s in shares)))
            values[label] = dict(zip(names, map(plain, shares)))
        found[view] = (Table(view, ("share [%]", *names), tuple(rows)), values)
    return found
