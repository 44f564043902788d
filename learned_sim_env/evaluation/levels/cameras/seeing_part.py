"""How well a model that is shown cameras knows where it is: its state after the context, and what it foresees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.open_loop import MODEL, drawn_now, join, window_reader
from learned_sim_env.evaluation.rollouts import roll_out
from learned_sim_env.evaluation.windows import WindowReader, Windows, ending_windows, regular_windows
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.measures.events import FORECASTS, WITHIN, auroc, happened_within, probability_within
from learned_sim_env.measures.iou import CLASSES, confusion, iou
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table, Target
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import WorldModel

# [m] How far ahead of the ego is looked at: there every camera rig looks, and nothing is too small to be seen.
AHEAD = 30.0
AREAS = (f"up to {AHEAD:g} m ahead", "the whole view")
# IoU asked for ahead, by class; average displacement [m]; area under the curve.
LEAST_IOU, MOST_ADE, LEAST_AUROC = {"drivable": 0.90, "road": 0.90, "vehicles": 0.60}, 0.05, 0.95


@dataclass(frozen=True, eq=False)
class SeenViews:
    """episode: (N,) int64, as in `Windows`. counts: by area of `AREAS`, (N, 1, 9, 9), see `iou.confusion`."""

    episode: np.ndarray
    counts: dict[str, np.ndarray]


def seen_views(model: WorldModel, reader: WindowReader, windows: Windows, batch_size: int) -> SeenViews:
    """What the model draws from above of the last moment of contexts, in comparison with what was there."""
    bev, parts = model.contract.bev, []
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        truth = batch.observations["bev"][:, batch.context - 1].numpy()
        view = drawn_now(model, batch, ("bev",))["bev"].numpy()
        known = batch.known["bev"][:, batch.context - 1].numpy()
        parts.append(SeenViews(some.episode, compared(view, truth, known, bev)))
    return join(parts)


def compared(view: np.ndarray, truth: np.ndarray, known: np.ndarray, bev: BevSpec) -> dict[str, np.ndarray]:
    """Confusion by area, of views (B, H, W) uint8 where they are `known` (B,) bool."""
    x = bev.pixel_centres()[..., 0]
    ahead = (x > 0) & (x <= AHEAD)
    # Pixels that truly are the ego count as nothing.
    masked = np.where(ahead, truth, np.uint8(SemanticClass.EGO))
    return {
        area: confusion(view[:, None], there[:, None], known[:, None]) for area, there in zip(AREAS, (masked, truth))
    }


def measure_seeing(
    checkpoint: Checkpoint, data: PackedData, stride: int, batch_size: int, replicates: int, seed: int
) -> Part:
    """From cameras alone: the view from above, where the same actions lead within a second, and whether the end comes.

    data: see `open_loop.episodes_for`.
    """
    model = checkpoint.model
    regular = regular_windows(data, stride, model.context_steps)
    ending = ending_windows(data, stride, WITHIN, model.context_steps)
    reader = window_reader([model], data, WITHIN)
    values: dict[str, Any] = {"windows": len(regular), "ending_windows": len(ending)}
    tables, targets = [], []
    if "bev" in model.draws and data.has("bev"):
        seen = seen_views(model, reader, regular, batch_size)
        weights = resample(seen.episode, len(data), replicates, seed)
        found = {area: Estimate.of(iou(weights, counts)[:, 0]) for area, counts in seen.counts.items()}
        tables.append(_iou_table(found))
        values["iou"] = {a: {name: plain(at(e, i)) for i, name in enumerate(CLASSES)} for a, e in found.items()}
        for name, bound in LEAST_IOU.items():
            value = float(found[AREAS[0]].value[list(CLASSES).index(name)])
            targets.append(Target.least(f"IoU of {name}, {AREAS[0]}, at step 0", bound, value, 3))
    parts = []
    with tqdm(total=len(regular) + len(ending), desc="seeing", unit="window") as bar:
        for windows in (regular, ending):
            if len(windows):
                parts.append(join(list(roll_out({MODEL: model}, reader, windows, batch_size, 0, draw=False))))
                bar.update(len(windows))
    rolled = parts[0]
    weights = resample(rolled.episode, len(data), replicates, seed)
    off = np.hypot(*(rolled.pose[MODEL].astype(np.float64) - rolled.true_pose)[..., :2].transpose(2, 0, 1))
    ade = at(Estimate.of(ego.mean_until(weights, off, rolled.valid)), WITHIN - 1)
    ranked = _terminal(parts, len(data), replicates, seed)
    seconds = WITHIN * checkpoint.contract.dt
    rows = (
        (f"average displacement over {seconds:g} s [m]", text(ade, 3)),
        ("terminal within it, AUROC", text(ranked, 3)),
    )
    tables.append(Table("What is foreseen from there", ("measure", "model"), rows))
    values |= {"ade": plain(ade), "terminal_auroc": plain(ranked)}
    targets += [
        Target.most(f"average displacement of the ego over {seconds:g} s", MOST_ADE, float(ade.value), 3, "m"),
        Target.least(f"AUROC of an end within {seconds:g} s", LEAST_AUROC, float(ranked.value), 3),
    ]
    return Part(
        name="camera_seeing",
        title="L1: what is seen in the cameras",
        method=(
            f"The state after real contexts of {model.context_steps} moments, of which the model was shown "
            f"{', '.join(model.observes)}. The view from above that it draws is compared with the simulator's, pixel "
            f"by pixel: ahead of the ego up to {AHEAD:g} m, which lies within the field of view of a front and two "
            "side cameras as far as nothing stands in the way, and everywhere. From there it runs open-loop under the "
            "recorded actions. For the order of forecasts, windows before the end of episodes are added. Intervals are "
            "95% of replicates that resample whole episodes."
        ),
        limits=(
            "What no camera shows, behind the ego and behind others, can at best be guessed, and is in the figures of "
            "the whole view. A box a pixel aside counts as half wrong. Open-loop displacements say nothing of other "
            "road users."
        ),
        tables=tuple(tables),
        values=values,
        targets=tuple(targets),
    )


def _iou_table(found: dict[str, Estimate]) -> Table:
    """A row a class, a column an area."""
    return Table(
        "IoU of the view from above, at the last real moment",
        ("class", *AREAS),
        tuple((name, *(text(at(e, i), 3) for e in found.values())) for i, name in enumerate(CLASSES)),
    )


def _terminal(parts: list[Any], episodes: int, replicates: int, seed: int) -> Estimate:
    """Area under the curve of the end within `WITHIN` steps, of rollouts."""
    of = FORECASTS["terminal"]
    p = np.concatenate([probability_within(part.events, of) for part in parts])
    happened, known = (
        np.concatenate(x) for x in zip(*(happened_within(part.true_events, part.watched, of) for part in parts))
    )
    weights = resample(np.concatenate([part.episode for part in parts]), episodes, replicates, seed)
    return Estimate.of(auroc(weights[:, known], p[known], happened[known]))
