"""Level 1 of the ladder in depth: views, motion, ends, horizon, branches and realism of a model's futures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.prediction import branching
from learned_sim_env.evaluation.levels.prediction.accuracy import accuracy, accuracy_part
from learned_sim_env.evaluation.levels.prediction.branches_part import branches_part
from learned_sim_env.evaluation.levels.prediction.branching import branch
from learned_sim_env.evaluation.levels.prediction.forecasting import AHEAD, forecasts_part
from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures, follow
from learned_sim_env.evaluation.levels.prediction.realism import realism_part
from learned_sim_env.evaluation.levels.prediction.safe_horizon import horizon_part
from learned_sim_env.evaluation.levels.prediction.scenarios import STEPS as SCENARIO_STEPS
from learned_sim_env.evaluation.levels.prediction.scenarios import scenarios_part
from learned_sim_env.evaluation.levels.prediction.strips import strips_part
from learned_sim_env.evaluation.open_loop import context_of, episodes_for, join, models_by_method, window_reader
from learned_sim_env.evaluation.windows import Windows, ending_windows, regular_windows
from learned_sim_env.measures import frechet
from learned_sim_env.measures.bootstrap import resample
from learned_sim_env.measures.needs import Needs
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.settings import check_at_least
from learned_sim_env.world_model.checkpoint import Checkpoint

# Steps after the context that tables show, as far as the horizon goes; the values have all.
STEPS = (1, 5, 15, 30, 64)
_LEAST_HORIZON = max(*branching.MOMENTS, *frechet.MOMENTS, *SCENARIO_STEPS)


@dataclass(frozen=True)
class PredictionConfig:
    """How to measure.

    horizon: steps after the context. stride: steps between windows of an episode. batch_size: futures at a time.
    branch_windows: windows of which futures are sampled. branches: futures sampled of each. replicates, seed: of the
    bootstrap.
    """

    horizon: int = 64
    stride: int = 20
    batch_size: int = 32
    branch_windows: int = 64
    branches: int = 8
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"horizon": _LEAST_HORIZON, "branches": 2, "seed": 0}
        check_at_least(self, **{name: least.get(name, 1) for name in asdict(self)})


def measure_prediction(
    checkpoint: Checkpoint,
    data: PackedData,
    config: PredictionConfig | None = None,
    beside: Sequence[Checkpoint] = (),
) -> tuple[Part, ...]:
    """Compare a model's futures of windows of `data` with what was recorded, and with baselines.

    Every window has the real context that environments start from; after it the model sees the recorded actions only.
    What compares views from above is left out where the model draws none, and a part says so. `beside`: further models
    to be shown as baselines.

    Returns:
        Parts named "prediction", "scenarios", "forecasts", "safe_horizon", "branches", "realism" and "film_strips".

    Raises:
        ValueError: if the data was recorded under another contract, no window of it reaches `branching.MOMENTS`, or the
            model predicts something that is not finite.
    """
    config = config or PredictionConfig()
    model, contract, models = checkpoint.model, checkpoint.contract, models_by_method(checkpoint, beside)
    data = episodes_for(checkpoint, data, beside)
    soon = round(max(AHEAD) / contract.dt)
    context = context_of(models.values())
    regular = regular_windows(data, config.stride, context)
    ending = ending_windows(data, config.stride, soon, context)
    branched = _evenly(_reaching(data, regular, context + branching.MOMENTS[-1]), config.branch_windows)
    if not len(branched):
        raise ValueError(f"no window of the {len(data)} episodes reaches {branching.MOMENTS[-1]} steps")

    def weigh(episode: np.ndarray) -> np.ndarray:
        return resample(episode, len(data), config.replicates, config.seed)

    def futures(windows: Windows, horizon: int, clips: bool) -> PredictedFutures:
        reader, parts = window_reader(models.values(), data, horizon), []
        for part in follow(models, reader, windows, config.batch_size, clips):
            parts.append(part)
            bar.update(len(part))
        return join(parts)

    with tqdm(total=len(regular) + len(ending) + len(branched), unit="window") as bar:
        seen = futures(regular, config.horizon, clips=True)
        judged = [seen, futures(ending, soon, clips=False)] if len(ending) else [seen]
        reader = window_reader(models.values(), data, branching.MOMENTS[-1])
        branches = branch(model, reader, branched, config.branches, config.batch_size, bar.update)

    weights = weigh(seen.episode)
    steps = sorted({s for s in STEPS if s <= config.horizon} | {config.horizon})
    reader = window_reader(models.values(), data, config.horizon)
    if data.has("events"):
        forecasts = forecasts_part(judged, weigh, contract.dt)
    else:
        forecasts = not_applicable("forecasts", "L1: does it see the end coming?", "no episode has events")
    lacking = Needs(draws=("bev",)).lacking(model)
    return (
        *(() if lacking is None else (not_applicable("views_from_above", "L1: views from above", lacking),)),
        accuracy_part(accuracy(seen, weights), seen.valid.sum(0), steps, contract.dt),
        scenarios_part(seen, weights),
        forecasts,
        horizon_part(seen, weights, steps, contract.dt),
        branches_part(branches, weigh(branches.episode)),
        realism_part(seen, config.seed),
        strips_part(model, reader, regular, seen, contract.dt),
    )


def describe(data: PackedData, config: PredictionConfig) -> dict[str, Any]:
    """JSON-ready: the data and settings, for the head of a report."""
    return {
        "simulators": sorted({str(name) for name in data.simulators}),
        "episodes": len(data),
        "seeds": [int(seed) for seed in data.seeds],
        "steps": data.steps,
        **asdict(config),
    }


def _reaching(data: PackedData, windows: Windows, steps: int) -> Windows:
    """Those whose episode has `steps` moments from their start on."""
    return windows[windows.start + steps <= data.lengths[windows.episode]]


def _evenly(windows: Windows, count: int) -> Windows:
    """`count` of them, evenly spread; all if there are fewer."""
    return windows[np.unique(np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(np.int64))]
