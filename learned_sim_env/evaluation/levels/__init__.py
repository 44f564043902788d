"""The levels of the ladder of trust: one package each, which declares itself as `LEVEL`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learned_sim_env.data.dataset import PackedData
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


@dataclass(frozen=True)
class LevelInputs:
    """What a level may use.

    checkpoint: the model, with the contexts that some levels start from. data: recorded episodes that it never saw.
    folder: where a level may keep what takes long to gather. batch_size: windows at a time. workers: processes with a
    simulator each.
    """

    checkpoint: Checkpoint
    data: PackedData
    folder: Path
    batch_size: int = 32
    workers: int = 2


def _always_applicable(_: Checkpoint) -> str | None:
    return None


@dataclass(frozen=True)
class Level:
    """One level of the ladder. Declaring it loads nothing: `measure` and `reason_not_applicable` import what they need.

    name: as on the command line. question: in one line. needs: of model and data, for the help. measure: the parts of
    the report that answer the question. reason_not_applicable: why this model cannot be measured so; None if it can.
    """

    name: str
    question: str
    needs: str
    measure: Callable[[LevelInputs], tuple[Part, ...]]
    reason_not_applicable: Callable[[Checkpoint], str | None] = _always_applicable
