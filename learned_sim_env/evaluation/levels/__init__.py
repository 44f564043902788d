"""The levels of the ladder of trust: one package each, which declares itself as `LEVEL`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learned_sim_env.measures.needs import NOTHING, Needs

if TYPE_CHECKING:
    from learned_sim_env.data.dataset import PackedData
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


@dataclass(frozen=True)
class LevelInputs:
    """What a level may use.

    checkpoint: the model, with the contexts that some levels start from. data: recorded episodes that it never saw.
    folder: where a level may keep what takes long to gather. batch_size: windows at a time. workers: processes with a
    simulator each. beside: further models, shown as baselines by the levels that compare predictions. free_rows,
    free_steps: rows of each kind of driver, and steps, where a model runs freely. drive_steps: of drives beside the
    simulator. world_drives: as long as episodes, with each driver, beside the simulator. imported: the folder of the
    import that the episodes are of; None if they are no recordings.
    """

    checkpoint: Checkpoint
    data: PackedData
    folder: Path
    batch_size: int = 32
    workers: int = 2
    beside: tuple[Checkpoint, ...] = ()
    free_rows: int = 64
    free_steps: int = 10_000
    drive_steps: int = 300
    world_drives: int = 64
    imported: Path | None = None


def _nothing_more(_: Checkpoint) -> str | None:
    return None


@dataclass(frozen=True)
class Level:
    """One level of the ladder. Declaring it loads nothing: `measure` and `more_needs` import what they need.

    name: as on the command line. question: in one line. requirements: of model and data, for the help. measure: the
    parts of the report that answer the question. needs: of the model. more_needs: why a checkpoint that has them cannot
    be measured all the same; None if it can.
    """

    name: str
    question: str
    requirements: str
    measure: Callable[[LevelInputs], tuple[Part, ...]]
    needs: Needs = NOTHING
    more_needs: Callable[[Checkpoint], str | None] = _nothing_more

    def reason_not_applicable(self, checkpoint: Checkpoint) -> str | None:
        """Why this model cannot be measured so, in plain words; None if it can."""
        return self.needs.lacking(checkpoint.model) or self.more_needs(checkpoint)
