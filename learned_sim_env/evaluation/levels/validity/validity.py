"""Whether a model that runs freely for a long time stays a driving world: level 0, "valid"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.validity.free_run import (
    GROUPS,
    NOTHING,
    QUANTITIES,
    FreeRun,
    ValidityConfig,
    magnitudes,
    run_freely,
)
from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.display import number, plain
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import NUM_CLASSES, Contract, SemanticClass
from learned_sim_env.world_model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Steps whose median time is compared: after the first calls, and as many at the end.
EARLY, LATE = slice(100, 600), slice(-500, None)
# Views of the data that are counted, spread evenly over it.
DATA_VIEWS = 4000
# Repetitions, by which one learns how far a few true views are from the data by chance.
CHANCE = 500


def validity(checkpoint: Checkpoint, data: PackedData, config: ValidityConfig | None = None) -> Part:
    """Let a model run freely, far beyond any episode, and compare what it shows with `data` and with physics.

    Raises:
        ValueError: if the data was recorded under another contract.
    """
    config = config or ValidityConfig()
    data.check_contract(checkpoint.contract)
    run = run_freely(checkpoint, config)
    histograms = _data_histograms(data)
    truth = histograms.sum(0)
    rng = np.random.default_rng(config.seed)
    # Rows whose road builds on imagined road, and the others.
    rows = {"drawn at every step": slice(config.watched), "drawn now and then": slice(config.watched, None)}
    counts = {name: _histograms(run.views[:, :, some]).sum(2) for name, some in rows.items()}
    divergence = {
        name: np.array([[divergence_bits(group, truth) for group in step] for step in value])
        for name, value in counts.items()
    }
    road = {name: 1 - ratio(value[..., 0], value.sum(-1)) for name, value in counts.items()}
    chance = {
        name: [divergence_bits(histograms[rng.integers(len(histograms), size=n)].sum(0), truth) for _ in range(CHANCE)]
        for name, n in zip(rows, (config.watched, config.contexts - config.watched))
    }
    bev = checkpoint.contract.bev
    bad = ~run.finite
    middle = run.views[..., bev.ego_row, bev.ego_column]
    shown, drawn = (middle == SemanticClass.EGO).sum((0, 2)), (middle != NOTHING).sum((0, 2))
    early, late = (float(np.median(part)) if len(part) else None for part in (run.seconds[EARLY], run.seconds[LATE]))
    values: dict[str, Any] = {
        "groups": list(GROUPS),
        "rows_per_group": config.contexts,
        "steps": config.steps,
        "not_finite_rows": [int(rows) for rows in bad[-1].sum(-1)],
        "first_not_finite_step": [int(b.any(-1).argmax()) + 1 if b.any() else None for b in bad.swapaxes(0, 1)],
        "ego_in_place": plain(shown / drawn),
        "drawn_steps": run.drawn.tolist(),
        "divergence_bits": {name: plain(value.T) for name, value in divergence.items()},
        "divergence_by_chance_bits": {
            name: {"mean": plain(np.mean(c)), "97.5%": plain(np.percentile(c, 97.5))} for name, c in chance.items()
        },
        "road_share": {name: plain(value.T) for name, value in road.items()},
        "road_share_of_data": plain(1 - truth[0] / truth.sum()),
        "step_seconds": {"early": early, "late": late, "ratio": plain(late / early) if early and late else None},
        "physics": _physics(run, data, checkpoint.contract),
    }
    first = np.concatenate(
        [colourise(v[:, 0]).swapaxes(0, 1).reshape(bev.height, -1, 3) for v in run.views.swapaxes(0, 1)]
    )
    tables = (
        _summary(values),
        _over_time(run, divergence, chance, road, values["road_share_of_data"]),
        _physics_table(values["physics"]),
        _times(values["step_seconds"]),
    )
    return Part(
        name="validity",
        title="L0: valid",
        method=(
            f"{config.steps} imagined steps of {config.contexts} rows in each of {len(GROUPS)} groups, from the "
            "contexts of the checkpoint, sampled at temperature 1; no row is ever reset, whatever happens to it. "
            "Actions: 'random' is correlated noise with a bias forward, 'expert-like' follows the route of the "
            "imagined ego vector at a steady speed, 'extreme' switches between full lock to either side and between "
            "full throttle and full brake. Divergence is that of Jensen and Shannon, between the classes of all pixels "
            f"that a group shows at a step and those of {len(histograms)} recorded views: 0 is equal, 1 bit disjoint. "
            f"{config.watched} rows of each group are drawn at every step, as an environment with pictures draws, so "
            "that their road builds on imagined road; the others only at the steps listed, where they imagine anew "
            "what they no longer hold."
        ),
        limits=(
            "The frequencies of classes can be right while every view is wrong. A group that drives otherwise than the "
            "data, as the random and the extreme one do, shows other views (more off-road) even in a perfect model: "
            "episodes end where these rows go on. Nothing recorded is as long, so there is no truth to compare with; "
            "the data's own largest values include collisions. The interval by chance takes single views, as if the "
            "rows were independent. Times were taken beside whatever else ran on the machine."
        ),
        tables=tables,
        values=values,
        figures={
            "Divergence from the classes of the data": lambda figure: _draw(figure, run.drawn, divergence, chance)
        },
        pictures={f"The first row of each group at steps {', '.join(map(str, run.drawn))}": first},
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


def _histograms(views: np.ndarray) -> np.ndarray:
    """(..., C) pixels of each class in views (..., H, W)."""
    flat = views.reshape(-1, views.shape[-2] * views.shape[-1])
    counts = [np.bincount(view, minlength=NUM_CLASSES)[:NUM_CLASSES] for view in flat]
    return np.reshape(counts, (*views.shape[:-2], NUM_CLASSES))


def _episode_rows(data: PackedData) -> np.ndarray:
    """(N,) int64: rows of all moments of the episodes listed but for the first of each."""
    return np.concatenate([np.arange(start + 1, start + n) for start, n in zip(data.starts, data.lengths)])


def _data_histograms(data: PackedData) -> np.ndarray:
    """(V, C) pixels of each class in up to `DATA_VIEWS` views."""
    rows = _episode_rows(data)
    some = rows[np.linspace(0, len(rows) - 1, min(DATA_VIEWS, len(rows))).astype(np.int64)]
    return _histograms(data.arrays["semantic"][some])


def _physics(run: FreeRun, data: PackedData, contract: Contract) -> dict[str, Any]:
    """By quantity: the contract's bound, the data's, and those of each group, with how often it exceeds the data."""
    rows, ego, pose = _episode_rows(data), data.arrays["ego"], data.arrays["ego_pose"]
    distance = np.hypot(*(pose[rows] - pose[rows - 1])[:, :2].T)
    recorded = magnitudes(ego[rows - 1], ego[rows], distance, contract.dt)
    found: dict[str, Any] = {}
    for i, (name, bound) in enumerate(QUANTITIES.items()):
        found[name] = {
            "bound": None if bound is None else contract.modality("ego").bounds[bound],
            "data": _extremes(recorded[:, i]),
        }
        for g, group in enumerate(GROUPS):
            values = run.quantities[:, g, :, i][run.finite[:, g]]
            beyond = float((values > recorded[:, i].max()).mean()) if len(values) else np.nan
            found[name][group] = {**_extremes(values), "beyond_data": plain(beyond)}
    return found


def _extremes(values: np.ndarray) -> dict[str, Any]:
    if not len(values):
        return {"median": None, "99.9%": None, "largest": None}
    median, high = np.percentile(values, [50, 99.9])
    return {"median": plain(median), "99.9%": plain(high), "largest": plain(values.max())}


def _over_time(
    run: FreeRun,
    divergence: dict[str, np.ndarray],
    chance: dict[str, list[float]],
    road: dict[str, np.ndarray],
    true_road: float,
) -> Table:
    moments = run.drawn[1:] - 1
    finite = run.finite[moments]
    speed = ratio(np.where(finite, run.quantities[moments, ..., 0], 0).sum(-1), finite.sum(-1))
    rows: list[tuple[str, ...]] = []
    for g, group in enumerate(GROUPS):
        for name, value in divergence.items():
            high = f"{np.percentile(chance[name], 97.5):.4f}"
            rows.append((group, f"divergence [bits], {name}", *(number(x, 4) for x in value[:, g]), high))
        for name, value in road.items():
            cells = (number(100 * x, 1) for x in value[:, g])
            rows.append((group, f"not off-road [%], {name}", *cells, number(100 * true_road, 1)))
        rows.append((group, "mean speed [m/s]", "-", *(number(x, 1) for x in speed[:, g]), "-"))
    head = ("group", "rows and measure", *(f"step {step}" for step in run.drawn), "true views")
    return Table("What is shown, over time; of the divergence of true views, the 97.5% quantile", head, tuple(rows))


def _physics_table(physics: dict[str, Any]) -> Table:
    def cell(found: dict[str, Any]) -> str:
        if found["largest"] is None:
            return "-"
        beyond = f" ({found['beyond_data']:.3%})" if "beyond_data" in found else ""
        return f"{found['median']:.2f} / {found['99.9%']:.2f} / {found['largest']:.2f}{beyond}"

    return Table(
        "Within physics: median / 99.9 % / largest (share of steps beyond the data's largest)",
        ("quantity", "bound of the contract", "data", *GROUPS),
        tuple(
            (name, "-" if f["bound"] is None else f"{f['bound']:.1f}", *(cell(f[x]) for x in ("data", *GROUPS)))
            for name, f in physics.items()
        ),
    )


def _summary(values: dict[str, Any]) -> Table:
    rows = (
        ("rows with a value that is not finite", *map(str, values["not_finite_rows"])),
        ("views with the ego in its place", *("-" if x is None else f"{x:.2%}" for x in values["ego_in_place"])),
    )
    return Table("Sound", ("measure", *GROUPS), rows)


def _times(seconds: dict[str, float | None]) -> Table:
    early, late, ratio = seconds.values()
    cells = ("-",) * 3 if ratio is None else (f"{1000 * early:.2f} ms", f"{1000 * late:.2f} ms", f"{ratio:.3f}")  # type: ignore[operator]
    return Table("Median time of a step of all rows", ("steps 100 to 600", "last 500 steps", "ratio"), (cells,))


def _draw(figure: Figure, drawn: np.ndarray, divergence: dict[str, np.ndarray], chance: dict[str, list[float]]) -> None:
    axis = figure.subplots()
    for colour, group, g in zip(("#0072b2", "#e69f00", "#009e73"), GROUPS, range(len(GROUPS))):
        for style, (name, value) in zip(("-", ":"), divergence.items()):
            axis.plot(np.maximum(drawn, 0.5), value[:, g], style, color=colour, marker=".", label=f"{group}, {name}")
    for style, (name, values) in zip(("-", ":"), chance.items()):
        axis.axhline(
            np.percentile(values, 97.5),
            color="#999999",
            linestyle=style,
            label=f"true views (97.5%), as many as {name}",
        )
    axis.set(xscale="log", xlabel="imagined steps (the start at the left)", ylabel="divergence [bits]", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
