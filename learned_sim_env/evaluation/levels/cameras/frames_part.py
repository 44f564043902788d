"""How good imagined camera frames are, as a part of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.film_strips import film_strips
from learned_sim_env.evaluation.levels.cameras.agreement_part import measure_agreement
from learned_sim_env.evaluation.levels.cameras.frame_futures import (
    COPIED,
    MEASURES,
    TOLD,
    WARPED,
    FrameFutures,
    follow_frames,
    steps_up_to,
)
from learned_sim_env.evaluation.levels.cameras.seams_part import seams_part
from learned_sim_env.evaluation.levels.cameras.seeing_part import measure_seeing
from learned_sim_env.evaluation.open_loop import MODEL, context_of, episodes_for, join, models_by_method, window_reader
from learned_sim_env.evaluation.windows import regular_windows
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.measures.frame_error import DIFFERENCE, MOST_PSNR
from learned_sim_env.reporting.display import STYLES, at, curve, number, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table, Target, not_applicable
from learned_sim_env.settings import check_at_least
from learned_sim_env.world_model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By measure: label, digits of a table.
_LABELS = {
    "psnr": ("PSNR [dB]", 2),
    "ssim": ("SSIM", 3),
    "psnr_changed": ("PSNR of pixels that changed [dB]", 2),
    "ssim_changed": ("SSIM of pixels that changed", 3),
}
assert tuple(_LABELS) == MEASURES
# Steps between the pictures of a strip.
_EVERY = 5
# [dB] By how much the model's PSNR has to exceed the better baseline's at any step, and at `_MIDDLE`; and by how much
# it may stay below that of the model that is told the true scene.
_ABOVE, _CLEARLY_ABOVE, _BELOW, _MIDDLE = 0.0, 3.0, 3.0, 15


@dataclass(frozen=True)
class CamerasConfig:
    """horizon: steps after the context. stride: steps between windows of an episode. batch_size: windows at a time.
    replicates, seed: of the bootstrap.
    """

    horizon: int = 30
    stride: int = 20
    batch_size: int = 16
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, horizon=1, stride=1, batch_size=1, replicates=1)


def measure_cameras(
    checkpoint: Checkpoint, data: PackedData, config: CamerasConfig, beside: Sequence[Checkpoint] = ()
) -> tuple[Part, ...]:
    """Compare a model's camera frames in futures of recorded episodes with the recorded ones.

    Returns:
        Parts named "cameras", "camera_seams", "camera_agreement" and "camera_seeing".

    Raises:
        ValueError: if the data was recorded under another contract, no episode is long enough, or a model predicts
            something that is not finite.
    """
    models, contract = models_by_method(checkpoint, beside), checkpoint.contract
    data = episodes_for(checkpoint, data, beside)
    windows = regular_windows(data, config.stride, context_of(models.values()))
    if not len(windows):
        raise ValueError(f"none of the {len(data)} episodes is long enough to be evaluated")
    # The ceiling draws what truly stands beside the road.
    reader, parts = window_reader(models.values(), data, config.horizon, scenery=True), []
    drawn = [name for name in checkpoint.model.draws if contract.modality(name).kind == "rgb"]
    cameras = [name for name in drawn if name in data.modalities]
    if not cameras:
        reason = f"the episodes were recorded without {' and '.join(drawn)}"
        return (not_applicable("cameras", "L1: camera frames", reason),)
    with tqdm(total=len(windows), desc="cameras", unit="window") as bar:
        for part in follow_frames(models, reader, windows, cameras, config.batch_size):
            parts.append(part)
            bar.update(len(part.episode))
    found = join(parts)
    strips = {}
    whole = np.flatnonzero(found.valid[:, -1])[:1]
    if len(whole):
        batch = reader.read(windows[whole])
        strips = {f"{name}: the truth above": film_strips(checkpoint.model, batch, name, _EVERY)[0] for name in cameras}
    weights = resample(found.episode, len(data), config.replicates, config.seed)
    return (
        frames_part(found, weights, config.horizon, contract.dt, strips),
        seams_part(found, weights, config.horizon),
        measure_agreement(checkpoint, data, config.stride, config.horizon, config.batch_size, config.seed),
        measure_seeing(checkpoint, data, config.stride, config.batch_size, config.replicates, config.seed),
    )


def frames_part(
    found: FrameFutures, weights: np.ndarray, horizon: int, dt: float, pictures: dict[str, np.ndarray]
) -> Part:
    """weights: (R, N), see `bootstrap.resample`. pictures: film strips, by title."""
    steps = steps_up_to(horizon)
    scores: dict[str, dict[str, dict[str, Estimate]]] = {
        camera: {
            method: {key: _mean(weights, values, found.valid) for key, values in measures.items()}
            for method, measures in methods.items()
        }
        for camera, methods in found.scores.items()
    }
    head = tuple(steps_text(s) for s in steps)
    tables = tuple(
        Table(
            f"Frames of the {camera} camera, by steps after the context",
            ("measure", "method", *head),
            tuple(
                (label, method, *(text(at(measures[key], i), digits) for i in range(len(steps))))
                for key, (label, digits) in _LABELS.items()
                for method, measures in methods.items()
            ),
        )
        for camera, methods in scores.items()
    )
    shares = {camera: _mean(weights, share, found.valid) for camera, share in found.changed.items()}
    share_rows = tuple((c, *(number(100 * float(x), 1) for x in e.value)) for c, e in shares.items())
    return Part(
        name="cameras",
        title="L1: camera frames",
        method=(
            f"From real contexts the model runs open-loop for {horizon} steps of {dt:g} s (the mode of its chances), "
            f"under the recorded actions, and draws its cameras; {int(found.valid[:, 0].sum())} windows have a step to "
            f"compare, {int(found.valid[:, -1].sum())} reach the last. PSNR is of each frame, at most {MOST_PSNR:g} "
            "dB; SSIM is that of Wang et al. (2004) with windows of 7 by 7 pixels; both are averaged over frames. They "
            "are given once more for the pixels that truly differ from the last frame of the context by more than "
            f"{DIFFERENCE:g} of 255 levels: what stays the same, such as the sky, is easy. Intervals are 95% of "
            "replicates that resample whole episodes.\n\nBaselines: the last frame of the context again; the same, "
            "moved over the ground plane by the ego's true motion, which the model is not given."
            + (
                "\n\nThe ceiling: the model draws, from the same real frames, the scene as it truly is by then (the "
                "ground, what stands on it, other road users, the ego), so that what is missing is its drawing's."
                if any(TOLD in methods for methods in scores.values())
                else ""
            )
        ),
        limits=(
            "Of several possible futures only one was recorded, and the mode is punished for the others. Both measures "
            "reward a blur where the place of an edge is uncertain, and weigh pixels alike whatever they show. That "
            "cameras agree with each other, and that what is imagined answers to the actions, they cannot show. "
            "Windows end with their episodes: late steps are of calmer ones."
        ),
        tables=(
            *tables,
            Table("Pixels that changed since the context [%]", ("camera", *head), share_rows),
        ),
        values={
            "steps": steps,
            "windows": plain(found.valid.sum(0)),
            "scores": plain(scores),
            "changed": plain(shares),
        },
        figures={f"Frames of the {camera} camera": _drawing(methods, steps) for camera, methods in scores.items()},
        pictures=pictures,
        targets=tuple(target for camera, methods in scores.items() for target in _targets(camera, methods, steps)),
    )


def _targets(camera: str, methods: dict[str, dict[str, Estimate]], steps: list[int]) -> Iterator[Target]:
    """What is asked of the PSNR of a camera's frames."""
    value = {name: measures["psnr"].value for name, measures in methods.items()}
    margin = value[MODEL] - np.maximum(value[COPIED], value[WARPED])
    for i, step in enumerate(steps):
        bound = _CLEARLY_ABOVE if step == _MIDDLE else _ABOVE
        name = f"PSNR, {camera}, {steps_text(step)}: above the better baseline"
        yield Target.least(name, bound, float(margin[i]), unit="dB")
        if step == _MIDDLE and TOLD in value:
            name = f"PSNR, {camera}, {steps_text(step)}: below the ceiling"
            yield Target.most(name, _BELOW, float(value[TOLD][i] - value[MODEL][i]), unit="dB")


def _mean(weights: np.ndarray, values: np.ndarray, valid: np.ndarray) -> Estimate:
    """(S,) mean of what is known of (N, S) values."""
    return Estimate.of(ego.mean_at(weights, np.nan_to_num(values), valid & np.isfinite(values)))


def _drawing(methods: dict[str, dict[str, Estimate]], steps: list[int]) -> Any:
    def draw(figure: Figure) -> None:
        figure.set_size_inches(3.6 * len(_LABELS), 3.8)
        for i, (axis, (key, (label, _))) in enumerate(zip(figure.subplots(1, len(_LABELS)), _LABELS.items())):
            for (method, measures), style in zip(methods.items(), STYLES):
                curve(axis, steps, measures[key], method, style)
            axis.set(title=label, xlabel="steps after the context")
            axis.grid(alpha=0.3)
            if not i:
                axis.legend(fontsize=8)

    return draw
