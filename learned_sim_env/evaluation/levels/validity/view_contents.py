"""What views from above show that a model draws while it runs freely, beside what recorded ones show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.validity.free_run import GROUPS, NOTHING, FreeRun, ValidityConfig, episode_rows
from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.display import plain
from learned_sim_env.spec import NUM_CLASSES, BevSpec, SemanticClass

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Views of the data that are counted, spread evenly over it.
DATA_VIEWS = 4000
# Repetitions, by which one learns how far a few true views are from the data by chance.
CHANCE = 500


@dataclass(frozen=True, eq=False)
class ViewContents:
    """What K moments of G groups of rows show, for rows that were drawn at every step and for those that were not.

    divergence, road: (K, G) float64 by kind of row, bits from the data and share that is not off-road. chance: by kind
    of row, bits of as many true views. true_road: share of the data that is not off-road. in_place: (G,) share of views
    with the ego where it belongs. counted: views of the data. picture: RGB of the first row of each group.
    """

    divergence: dict[str, np.ndarray]
    chance: dict[str, list[float]]
    road: dict[str, np.ndarray]
    true_road: float
    in_place: np.ndarray
    counted: int
    picture: np.ndarray

    def values(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ego_in_place": plain(self.in_place),
            "divergence_bits": {name: plain(value.T) for name, value in self.divergence.items()},
            "divergence_by_chance_bits": {
                name: {"mean": plain(np.mean(c)), "97.5%": plain(np.percentile(c, 97.5))}
                for name, c in self.chance.items()
            },
            "road_share": {name: plain(value.T) for name, value in self.road.items()},
            "road_share_of_data": plain(self.true_road),
        }


def view_contents(run: FreeRun, data: PackedData, config: ValidityConfig, bev: BevSpec) -> ViewContents | None:
    """Of the views of a run; None where it has none, or the data has none."""
    if run.views is None or not data.has("bev"):
        return None
    histograms = _data_histograms(data)
    truth = histograms.sum(0)
    rng = np.random.default_rng(config.seed)
    # Rows whose road builds on imagined road, and the others.
    rows = {"drawn at every step": slice(config.watched), "drawn now and then": slice(config.watched, None)}
    counts = {name: _histograms(run.views[:, :, some]).sum(2) for name, some in rows.items()}
    middle = run.views[..., bev.ego_row, bev.ego_column]
    shown, drawn = (middle == SemanticClass.EGO).sum((0, 2)), (middle != NOTHING).sum((0, 2))
    return ViewContents(
        divergence={
            name: np.array([[divergence_bits(group, truth) for group in step] for step in value])
            for name, value in counts.items()
        },
        chance={
            name: [
                divergence_bits(histograms[rng.integers(len(histograms), size=n)].sum(0), truth) for _ in range(CHANCE)
            ]
            for name, n in zip(rows, (config.watched, config.contexts - config.watched))
        },
        road={name: 1 - ratio(value[..., 0], value.sum(-1)) for name, value in counts.items()},
        true_road=plain(1 - truth[0] / truth.sum()),
        in_place=shown / drawn,
        counted=len(histograms),
        picture=np.concatenate(
            [colourise(v[:, 0]).swapaxes(0, 1).reshape(bev.height, -1, 3) for v in run.views.swapaxes(0, 1)]
        ),
    )


def divergence_bits(counts: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of two histograms (C,), each of any positive sum: 0 equal, 1 disjoint.

    NaN if one is empty.
    """
    if not counts.sum() or not other.sum():
        return float("nan")
    p, q = counts / counts.sum(), other / other.sum()
    middle = (p + q) / 2

    def relative_entropy(x: np.ndarray) -> float:
        return float((x[x > 0] * np.log2(x[x > 0] / middle[x > 0])).sum())

    return (relative_entropy(p) + relative_entropy(q)) / 2


def draw_divergence(figure: Figure, drawn: np.ndarray, found: ViewContents) -> None:
    """Into an empty figure: the divergence of every group over the steps `drawn` (K,)."""
    axis = figure.subplots()
    for colour, group, g in zip(("#0072b2", "#e69f00", "#009e73"), GROUPS, range(len(GROUPS))):
        for style, (name, value) in zip(("-", ":"), found.divergence.items()):
            axis.plot(np.maximum(drawn, 0.5), value[:, g], style, color=colour, marker=".", label=f"{group}, {name}")
    for style, (name, values) in zip(("-", ":"), found.chance.items()):
        axis.axhline(
            np.percentile(values, 97.5),
            color="#999999",
            linestyle=style,
            label=f"true views (97.5%), as many as {name}",
        )
    axis.set(xscale="log", xlabel="imagined steps (the start at the left)", ylabel="divergence [bits]", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _histograms(views: np.ndarray) -> np.ndarray:
    """(..., C) pixels of each class in views (..., H, W)."""
    flat = views.reshape(-1, views.shape[-2] * views.shape[-1])
    counts = [np.bincount(view, minlength=NUM_CLASSES)[:NUM_CLASSES] for view in flat]
    return np.reshape(counts, (*views.shape[:-2], NUM_CLASSES))


def _data_histograms(data: PackedData) -> np.ndarray:
    """(V, C) pixels of each class in up to `DATA_VIEWS` views."""
    rows = episode_rows(data)
    some = rows[np.linspace(0, len(rows) - 1, min(DATA_VIEWS, len(rows))).astype(np.int64)]
    return _histograms(data.read("bev", some))
