"""One and many steps ahead: views, ego motion, reward and events that a model predicts in episodes it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.open_loop import context_of, episodes_for, join, models_by_method, window_reader
from learned_sim_env.evaluation.rollouts import Rollouts, mean_reward, roll_out
from learned_sim_env.evaluation.scores import Forecast, Report
from learned_sim_env.evaluation.windows import Windows, ending_windows, regular_windows
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.measures.events import (
    FORECASTS,
    WITHIN,
    auroc,
    calibration_error,
    happened_within,
    probability_within,
)
from learned_sim_env.measures.iou import iou
from learned_sim_env.measures.reward import expected_reward, foreseen_reward, pearson
from learned_sim_env.scene import wrap_angle
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import TERMINATIONS, RewardSpec
from learned_sim_env.task import GRADED_TERMS
from learned_sim_env.version import __version__
from learned_sim_env.world_model.checkpoint import Checkpoint

_BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} windows [{elapsed}<{remaining}, {rate_fmt}]"


@dataclass(frozen=True)
class EvaluateConfig:
    """How to evaluate.

    horizon: steps after the context. stride: steps between windows of an episode. samples: futures drawn of each
    window, every one judged by itself, 0 for the mode alone. expected: futures drawn of each window to judge the mean
    of their returns, 0 for none. batch_size: windows at a time. replicates, seed: of the bootstrap.
    """

    horizon: int = 30
    stride: int = 10
    samples: int = 0
    expected: int = 8
    batch_size: int = 32
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.horizon < WITHIN:
            raise ValueError(f"horizon is {self.horizon}; forecasts of events need at least {WITHIN} steps")
        check_at_least(self, stride=1, samples=0, expected=0, batch_size=1, replicates=1)


def evaluate(
    checkpoint: Checkpoint,
    data: PackedData,
    config: EvaluateConfig | None = None,
    beside: Sequence[Checkpoint] = (),
) -> Report:
    """Compare a model's futures of all windows of `data` with what was recorded, and with baselines.

    Every window has the real context that environments start from; after it the model sees the recorded actions only.
    Views from above are compared where the model draws them. `beside`: further models to be shown as baselines.

    Raises:
        ValueError: if the data was recorded under another contract, has no episode long enough, or the model predicts
            something that is not finite.
    """
    config = config or EvaluateConfig()
    model, contract, models = checkpoint.model, checkpoint.contract, models_by_method(checkpoint, beside)
    data = episodes_for(checkpoint, data, beside)
    context = context_of(models.values())
    regular = regular_windows(data, config.stride, context)
    ending = ending_windows(data, config.stride, WITHIN, context)
    if not len(regular):
        raise ValueError(f"none of the {len(data)} episodes is long enough to be evaluated")

    def rollouts(windows: Windows, horizon: int, draw: bool) -> Rollouts:
        reader, parts = window_reader(models.values(), data, horizon), []
        for part in roll_out(models, reader, windows, config.batch_size, config.samples, draw):
            parts.append(part)
            bar.update(len(part.valid) / max(config.samples, 1))
        return join(parts)

    averaged = 0 if config.samples else config.expected
    with tqdm(total=len(regular) * (2 if averaged else 1) + len(ending), unit="window", bar_format=_BAR) as bar:
        seen = rollouts(regular, config.horizon, draw=True)
        # They only make forecasts of rare events measurable, so there is no need for more than the forecast's steps.
        parts = [seen, rollouts(ending, WITHIN, draw=False)] if len(ending) else [seen]
        expected = None
        if averaged:
            reader = window_reader(models.values(), data, config.horizon)
            expected = mean_reward(model, reader, regular, config.batch_size, averaged, bar.update)

    def weights(episode: np.ndarray) -> np.ndarray:
        return resample(episode, len(data), config.replicates, config.seed)

    regular_weights = weights(seen.episode)
    windows = {
        "windows": len(regular),
        "windows_reaching_horizon": int(seen.valid[:, -1].sum()) // max(config.samples, 1),
        "ending_windows": len(ending),
    }
    return Report(
        about=_about(checkpoint, beside, data, windows, config),
        iou={name: Estimate.of(iou(regular_weights, views)) for name, views in seen.views.items()},
        ego={name: _ego(regular_weights, seen, name) for name in seen.pose},
        reward=_reward(regular_weights, seen, expected, contract.reward),
        events=_events(weights(np.concatenate([part.episode for part in parts])), parts),
    )


def _about(
    checkpoint: Checkpoint,
    beside: Sequence[Checkpoint],
    data: PackedData,
    windows: dict[str, int],
    config: EvaluateConfig,
) -> dict[str, Any]:
    """What was evaluated, on what, and how."""
    return {
        "checkpoint": checkpoint.name,
        "fingerprint": checkpoint.fingerprint,
        **({"beside": {other.name: other.fingerprint for other in beside}} if beside else {}),
        "package_version": __version__,
        "contract": checkpoint.contract.name,
        "simulators": sorted({str(name) for name in data.simulators}),
        "episodes": len(data),
        "seeds": [int(seed) for seed in data.seeds],
        "steps": data.steps,
        **windows,
        "dt": checkpoint.contract.dt,
        "not_recorded": [name for name in ("reward", "events") if not data.has(name)],
        **asdict(config),
    }


def _ego(weights: np.ndarray, seen: Rollouts, method: str) -> dict[str, Estimate]:
    pose = seen.pose[method].astype(np.float64)
    distance = np.hypot(*(pose[..., :2] - seen.true_pose[..., :2]).transpose(2, 0, 1))
    yaw = np.abs(wrap_angle(pose[..., 2] - seen.true_pose[..., 2]))
    speed = np.abs(seen.speed[method] - seen.true_speed)
    return {
        "ade": Estimate.of(ego.mean_until(weights, distance, seen.valid)),
        "fde": Estimate.of(ego.mean_at(weights, distance, seen.valid)),
        "speed_error": Estimate.of(ego.mean_at(weights, speed, seen.valid)),
        "yaw_error": Estimate.of(ego.mean_at(weights, yaw, seen.valid)),
    }


def _reward(
    weights: np.ndarray, seen: Rollouts, expected: np.ndarray | None, reward: RewardSpec
) -> dict[str, Estimate]:
    if not seen.rewarded.any():
        return {}
    # After the end of an episode there is no reward, and a prediction must know of the end by itself.
    predicted = foreseen_reward(seen.terms, seen.events, reward)
    true = expected_reward(seen.true_terms, seen.true_events, reward)
    pairs = {
        "reward": (predicted, true),
        "graded": (seen.terms.sum(-1), seen.true_terms.sum(-1)),
        **{name: (seen.terms[..., i], seen.true_terms[..., i]) for i, name in enumerate(GRADED_TERMS)},
    }
    found = {name: Estimate.of(pearson(weights, *pair, seen.rewarded)) for name, pair in pairs.items()}
    # A crash foreseen a step too late is as wrong, step by step, as one not foreseen; added up over time it is not.
    # Where that is open, the likeliest future is not the mean.
    its = np.where(seen.rewarded, true, 0.0)
    for steps in (WITHIN, 3 * WITHIN):
        if steps <= seen.valid.shape[1]:
            known = happened_within(seen.true_events, seen.rewarded, TERMINATIONS, steps)[1][:, None]
            truly = its[:, :steps].sum(1, keepdims=True)
            for name, dreamt in (("", predicted), (", mean of futures", expected)):
                if dreamt is not None:
                    r = pearson(weights, dreamt[:, :steps].sum(1, keepdims=True), truly, known)
                    found[f"return over {steps} steps{name}"] = Estimate.of(r)
    return found


def _events(weights: np.ndarray, parts: list[Rollouts]) -> dict[str, Forecast]:
    """Forecasts, from the regular windows and, if any, those added before the end of episodes.

    The added ones help to judge the order of forecasts. They are no fair sample, so frequencies are judged without.
    """
    if not any(part.watched.any() for part in parts):
        return {}
    fair = np.concatenate([np.full(len(part.valid), part is parts[0]) for part in parts])
    forecasts = {}
    for name, of in FORECASTS.items():
        p = np.concatenate([probability_within(part.events, of) for part in parts])
        judged = [happened_within(part.true_events, part.watched, of) for part in parts]
        happened, known = (np.concatenate(x) for x in zip(*judged))
        sample = known & fair
        forecasts[name] = Forecast(
            windows=int(known.sum()),
            positives=int(happened[known].sum()),
            auroc=Estimate.of(auroc(weights[:, known], p[known], happened[known])),
            predicted=float(p[sample].mean()) if sample.any() else np.nan,
            observed=float(happened[sample].mean()) if sample.any() else np.nan,
            calibration_error=Estimate.of(calibration_error(weights[:, sample], p[sample], happened[sample])),
        )
    return forecasts
