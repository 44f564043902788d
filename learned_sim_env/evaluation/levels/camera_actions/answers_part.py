"""Whether the picture answers to the action, as a part of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.camera_actions.answers import (
    HELD,
    MOVING,
    READ,
    STEER,
    Readings,
    Turns,
    readings,
    swapped,
    turns,
)
from learned_sim_env.evaluation.levels.camera_actions.estimator import (
    FRAMES,
    MOTIONS,
    EstimatorConfig,
    mirrored,
    open_estimator,
)
from learned_sim_env.evaluation.open_loop import episodes_for, join, window_reader
from learned_sim_env.evaluation.windows import regular_windows
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.measures.needs import listed
from learned_sim_env.measures.reward import pearson
from learned_sim_env.reporting.display import plain, text
from learned_sim_env.reporting.parts import Part, Table, Target, not_applicable
from learned_sim_env.settings import check_at_least
from learned_sim_env.world_model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME, TITLE = "camera_actions", "L2: does the picture answer to the action?"
# What is asked: correlation of what is read with where the actions led, and share of moments whose turn is swapped.
LEAST_CORRELATION, LEAST_SWAPPED = 0.95, 1.0
# What what is read is compared with, by name.
_COMPARED = {
    "dreamt frames, where the actions truly led": ("dreamt", "true"),
    "dreamt frames, the dream's own motion": ("dreamt", "own"),
    "recorded frames, their motion (the ceiling)": ("recorded", "true"),
}


@dataclass(frozen=True)
class AnswersConfig:
    """horizon: steps after the context. windows: at most, spread evenly. batch_size: windows at a time. replicates,
    seed: of the bootstrap. estimator: see there.
    """

    horizon: int = 15
    windows: int = 96
    batch_size: int = 16
    replicates: int = 1000
    seed: int = 0
    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)

    def __post_init__(self) -> None:
        check_at_least(self, horizon=max(HELD, FRAMES), windows=1, batch_size=1, replicates=1)


def measure_answers(
    checkpoint: Checkpoint, data: PackedData, folder: Path, config: AnswersConfig | None = None
) -> Part:
    """An estimator is trained on half of the episodes, and reads dreams of the other half.

    folder: where it is kept.

    Raises:
        ValueError: if the data was recorded under another contract, or the model predicts something that is not finite.
    """
    config = config or AnswersConfig()
    model, contract = checkpoint.model, checkpoint.contract
    drawn = [m for m in contract.cameras if m.name in model.draws and m.name in data.modalities]
    if not drawn:
        return not_applicable(NAME, TITLE, "the episodes were recorded without the cameras that the model draws")
    specs = {m.name: m.camera for m in drawn if m.camera is not None}
    cameras = {name: specs[name] for name in mirrored(specs)}
    if not cameras:
        reason = f"neither does one of {listed(specs)} look straight ahead, nor two as far to either side"
        return not_applicable(NAME, TITLE, reason)
    data = episodes_for(checkpoint, data).having(tuple(cameras))
    if len(data) < 2:
        return not_applicable(NAME, TITLE, "one half of the episodes trains an estimator that reads the other; give 2")
    half = np.arange(len(data)) % 2
    shown = data.select(np.flatnonzero(half == 0))
    estimator = open_estimator(shown, cameras, contract.dt, config.estimator, folder)
    judged = data.select(np.flatnonzero(half == 1))
    windows = regular_windows(judged, config.horizon, model.context_steps)
    if not len(windows):
        return not_applicable(NAME, TITLE, f"none of the {len(judged)} episodes that are judged is long enough")
    chosen = np.linspace(0, len(windows) - 1, min(config.windows, len(windows))).round().astype(np.int64)
    windows, reader = windows[chosen], window_reader([model], judged, config.horizon)
    read, turned = [], []
    with tqdm(total=len(windows), desc="answers", unit="window") as bar:
        for first in range(0, len(windows), config.batch_size):
            some = windows[first : first + config.batch_size]
            batch = reader.read(some)
            read.append(readings(model, estimator, batch, some.episode))
            turned.append(turns(model, estimator, batch, some.episode))
            bar.update(len(some))
    return answers_part(join(read), join(turned), len(judged), tuple(cameras), config)


def answers_part(read: Readings, turned: Turns, episodes: int, cameras: tuple[str, ...], config: AnswersConfig) -> Part:
    """episodes: from which the windows are."""
    weights = resample(read.episode, episodes, config.replicates, config.seed)
    correlation = {name: _correlated(read, pair, weights, averaged=True) for name, pair in _COMPARED.items()}
    by_clip = {name: _correlated(read, pair, weights, averaged=False) for name, pair in _COMPARED.items()}
    weights = resample(turned.episode, episodes, config.replicates, config.seed)
    shares = {
        name: Estimate.of(ratio(weights @ swapped(values).astype(np.float64), weights.sum(1)))
        for name, values in (("read from dreamt frames", turned.read), ("the dream's own motion", turned.own))
    }
    clips, moments = int(read.valid.sum()), len(turned.read)
    return Part(
        name=NAME,
        title=TITLE,
        method=(
            "In the manner of ACT-Bench (arXiv 2412.05337): an estimator learns to read speed and yaw rate from how "
            f"well motions over the ground explain {FRAMES} frames of {listed(cameras)}, on recorded clips of every "
            "other episode. It then reads frames that the model imagined in the episodes between (the mode, under the "
            "recorded actions), and recorded frames of the same windows, which are the ceiling. Based on "
            f"{clips} clips of {len(read.valid)} windows, {moments} moments. "
            f"For the turn, moments in which the ego drives {MOVING:g} m/s or more go on with steering of {STEER:g} "
            f"held to the left, and to the right; of {HELD} steps the last {READ} are read: it is swapped where the "
            "first turns to the left and the second to the right. Correlations are of the means over windows, of "
            "about a second, beside those of single clips. Intervals are 95% of replicates that resample whole "
            "episodes."
        ),
        limits=(
            "What is read is how pictures move, not whether they are right. The estimator errs, and more so on "
            "pictures unlike those it learned from: a low score may be its own, which the ceiling tells for recorded "
            "pictures only. Speeds and turns of the windows are correlated over time, so that there are fewer "
            "independent clips than clips."
        ),
        tables=(
            Table(
                "Correlation of what is read from frames with motion",
                ("frames, compared with", "means of windows or clips", *MOTIONS),
                tuple(
                    (name, what, *(text(e, 3) for e in found[name].values()))
                    for name in _COMPARED
                    for what, found in (("windows", correlation), ("clips", by_clip))
                ),
            ),
            Table(
                "Share of moments in which swapped steering swaps the turn",
                ("turn", "share"),
                tuple((name, text(e, 3)) for name, e in shares.items()),
            ),
        ),
        values={
            "cameras": list(cameras),
            "clips": clips,
            "moments": moments,
            "correlation": plain(correlation),
            "correlation_by_clip": plain(by_clip),
            "swapped": plain(shares),
        },
        figures={"What is read from frames": partial(_draw, read, turned)},
        targets=_targets(correlation, shares),
    )


def _correlated(read: Readings, pair: tuple[str, str], weights: np.ndarray, averaged: bool) -> dict[str, Estimate]:
    """Correlation of two fields of `read` by motion, clip by clip, or of their means over windows."""
    one, other = (getattr(read, name) for name in pair)
    valid: np.ndarray = read.valid
    if averaged:
        counted = np.maximum(valid.sum(1), 1)[:, None, None]
        one, other = ((v * valid[..., None]).sum(1, keepdims=True) / counted for v in (one, other))
        valid = np.any(valid, 1, keepdims=True)
    return {m: Estimate.of(pearson(weights, one[..., i], other[..., i], valid)) for i, m in enumerate(MOTIONS)}


def _targets(correlation: dict[str, dict[str, Estimate]], shares: dict[str, Estimate]) -> tuple[Target, ...]:
    """What is asked of the first of each: of what is read from dreamt frames."""
    asked, *_, ceiling = correlation.values()
    share = float(next(iter(shares.values())).value)
    return (
        *(
            Target.least(
                f"correlation of {motion} in dreamt frames with the action's (in recorded ones "
                f"{ceiling[motion].value:.3f})",
                LEAST_CORRELATION,
                float(estimate.value),
                3,
            )
            for motion, estimate in asked.items()
        ),
        Target.least("share of moments in which swapped steering swaps the turn", LEAST_SWAPPED, share, 3),
    )


def _draw(read: Readings, turned: Turns, figure: Figure) -> None:
    """What is read against where the actions led, for each motion, and turns under held steering."""
    figure.set_size_inches(12, 4)
    *motions, turn = figure.subplots(1, len(MOTIONS) + 1)
    for axis, (i, motion) in zip(motions, enumerate(MOTIONS)):
        for label, values, colour in (("recorded", read.recorded, "#8a8a8a"), ("dreamt", read.dreamt, "#0072b2")):
            axis.scatter(read.true[..., i][read.valid], values[..., i][read.valid], 4, colour, label=label)
        axis.axline((0, 0), slope=1, color="#999999", linewidth=1)
        axis.set(title=motion, xlabel="where the actions truly led", ylabel="read from frames")
    for side, values in zip(("left", "right"), turned.read.T):
        turn.hist(values, np.linspace(-1.2, 1.2, 49), alpha=0.6, label=f"steering to the {side}")
    turn.set(title="yaw rate under held steering", xlabel="read from dreamt frames [rad/s]")
    for axis in (*motions, turn):
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
