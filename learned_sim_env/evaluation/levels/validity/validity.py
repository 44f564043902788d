"""Whether a model that runs freely for a long time stays a driving world: level 0, "valid"."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.validity.free_run import (
    GROUPS,
    QUANTITIES,
    FreeRun,
    ValidityConfig,
    episode_rows,
    magnitudes,
    run_freely,
)
from learned_sim_env.evaluation.levels.validity.view_contents import ViewContents, draw_divergence, view_contents
from learned_sim_env.evaluation.open_loop import episodes_for
from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.measures.needs import Needs
from learned_sim_env.reporting.display import number, plain
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.checkpoint import Checkpoint

# Steps whose median time is compared: after the first calls, and as many at the end.
EARLY, LATE = slice(100, 600), slice(-500, None)


def validity(checkpoint: Checkpoint, data: PackedData, config: ValidityConfig | None = None) -> Part:
    """Let a model run freely, far beyond any episode, and compare what it shows with `data` and with physics.

    Raises:
        ValueError: if the data was recorded under another contract.
    """
    config = config or ValidityConfig()
    data = episodes_for(checkpoint, data)
    run = run_freely(checkpoint, config)
    contents = view_contents(run, data, config, checkpoint.contract.bev)
    bad = ~run.finite
    early, late = (float(np.median(part)) if len(part) else None for part in (run.seconds[EARLY], run.seconds[LATE]))
    values: dict[str, Any] = {
        "groups": list(GROUPS),
        "rows_per_group": config.contexts,
        "steps": config.steps,
        "not_finite_rows": [int(rows) for rows in bad[-1].sum(-1)],
        "first_not_finite_step": [int(b.any(-1).argmax()) + 1 if b.any() else None for b in bad.swapaxes(0, 1)],
        "drawn_steps": run.drawn.tolist(),
        "step_seconds": {"early": early, "late": late, "ratio": plain(late / early) if early and late else None},
        "physics": _physics(run, data, checkpoint.contract),
    }
    if contents is None:
        lacking = Needs(draws=("bev",)).lacking(checkpoint.model) or "the episodes were recorded without it"
        values["views_not_applicable"] = lacking
        about_views = f"What views from above show is not applicable: {lacking}."
    else:
        values |= contents.values()
        about_views = (
            "Divergence is that of Jensen and Shannon, between the classes of all pixels that a group shows at a step "
            f"and those of {contents.counted} recorded views: 0 is equal, 1 bit disjoint. {config.watched} rows of "
            "each group are drawn at every step, as an environment with pictures draws, so that their road builds on "
            "imagined road; the others only at the steps listed, where they imagine anew what they no longer hold."
        )
    steps = ", ".join(map(str, run.drawn))
    return Part(
        name="validity",
        title="L0: valid",
        method=(
            f"{config.steps} imagined steps of {config.contexts} rows in each of {len(GROUPS)} groups, from the "
            "contexts of the checkpoint, sampled at temperature 1; no row is ever reset, whatever happens to it. "
            "Actions: 'random' is correlated noise with a bias forward, 'expert-like' follows the route of the "
            "imagined ego vector at a steady speed, 'extreme' switches between full lock to either side and between "
            f"full throttle and full brake. {about_views}"
        ),
        limits=(
            "The frequencies of classes can be right while every view is wrong. A group that drives otherwise than the "
            "data, as the random and the extreme one do, shows other views (more off-road) even in a perfect model: "
            "episodes end where these rows go on. Nothing recorded is as long, so there is no truth to compare with; "
            "the data's own largest values include collisions. The interval by chance takes single views, as if the "
            "rows were independent. Times were taken beside whatever else ran on the machine."
        ),
        tables=(
            _summary(values),
            _over_time(run, contents),
            _physics_table(values["physics"]),
            _times(values["step_seconds"]),
        ),
        values=values,
        figures={"Divergence from the classes of the data": lambda figure: draw_divergence(figure, run.drawn, contents)}
        if contents
        else {},
        pictures={f"The first row of each group at steps {steps}": contents.picture} if contents else {},
    )


def _physics(run: FreeRun, data: PackedData, contract: Contract) -> dict[str, Any]:
    """By quantity: the contract's bound, the data's, and those of each group, with how often it exceeds the data."""
    rows, ego, pose = episode_rows(data), data.arrays["ego"], data.arrays["ego_pose"]
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


def _over_time(run: FreeRun, contents: ViewContents | None) -> Table:
    moments = run.drawn[1:] - 1
    finite = run.finite[moments]
    speed = ratio(np.where(finite, run.quantities[moments, ..., 0], 0).sum(-1), finite.sum(-1))
    rows: list[tuple[str, ...]] = []
    for g, group in enumerate(GROUPS):
        if contents is not None:
            for name, value in contents.divergence.items():
                high = f"{np.percentile(contents.chance[name], 97.5):.4f}"
                rows.append((group, f"divergence [bits], {name}", *(number(x, 4) for x in value[:, g]), high))
            for name, value in contents.road.items():
                cells = (number(100 * x, 1) for x in value[:, g])
                rows.append((group, f"not off-road [%], {name}", *cells, number(100 * contents.true_road, 1)))
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
    rows: list[tuple[str, ...]] = [("rows with a value that is not finite", *map(str, values["not_finite_rows"]))]
    if "ego_in_place" in values:
        in_place = ("-" if x is None else f"{x:.2%}" for x in values["ego_in_place"])
        rows.append(("views with the ego in its place", *in_place))
    return Table("Sound", ("measure", *GROUPS), tuple(rows))


def _times(seconds: dict[str, float | None]) -> Table:
    early, late, ratio = seconds.values()
    cells = ("-",) * 3 if ratio is None else (f"{1000 * early:.2f} ms", f"{1000 * late:.2f} ms", f"{ratio:.3f}")  # type: ignore[operator]
    return Table("Median time of a step of all rows", ("steps 100 to 600", "last 500 steps", "ratio"), (cells,))
