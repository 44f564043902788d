"""The ladder of trust: which levels there are, and how each is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.prediction.prediction import PredictionConfig, measure_prediction
from learned_sim_env.evaluation.levels.responses.responses import ResponsesConfig, responses
from learned_sim_env.evaluation.levels.return_trip.return_trip import return_trip
from learned_sim_env.evaluation.levels.trust.trust import trust
from learned_sim_env.evaluation.levels.validity.validity import validity
from learned_sim_env.reporting.parts import Part
from learned_sim_env.world_model.checkpoint import Checkpoint

# Whether it stays a world; what it predicts; whether it answers to actions; whether a road stays where it was; whether
# it says when not to trust it.
Level = Literal["validity", "prediction", "responses", "return_trip", "trust"]
LEVELS: tuple[Level, ...] = get_args(Level)


def climb(
    checkpoint: Checkpoint, data: PackedData, levels: Sequence[Level], folder: Path, batch_size: int, workers: int
) -> Iterator[tuple[Level, tuple[Part, ...]]]:
    """Measure `levels` one after the other, each handed over as soon as it is done.

    Args:
        checkpoint: the model, with the contexts that some levels start from.
        data: recorded episodes that it never saw.
        levels: which ones, in this order.
        folder: where the twin's side of "responses" is kept, so that it is gathered once.
        batch_size: windows at a time. workers: processes with a twin each.

    Raises:
        ImportError: if "responses" are asked for and the twin is not installed.
        ValueError: if the data do not suit the checkpoint.
    """
    measures: dict[Level, Callable[[], Part | tuple[Part, ...]]] = {
        "validity": lambda: validity(checkpoint, data),
        "prediction": lambda: measure_prediction(checkpoint, data, PredictionConfig(batch_size=batch_size)),
        "responses": lambda: responses(checkpoint, ResponsesConfig(workers=workers), folder / "twin"),
        "return_trip": lambda: return_trip(checkpoint),
        "trust": lambda: trust(checkpoint, data),
    }
    for level in levels:
        found = measures[level]()
        yield level, found if isinstance(found, tuple) else (found,)
