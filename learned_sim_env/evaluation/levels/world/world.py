"""Whole episodes in the dream and in its twin, driven by the same drivers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.drives.dream_drives import drive_dream
from learned_sim_env.evaluation.drives.drives import DrivesConfig
from learned_sim_env.evaluation.drives.twin_drives import SIMULATOR, TwinDrives, drive_twin, twin_side
from learned_sim_env.evaluation.levels.world.compared import compare
from learned_sim_env.evaluation.levels.world.world_part import world_part
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.settings import check_at_least
from learned_sim_env.world_model.checkpoint import Checkpoint

# Steps since the last real moment up to which contents are counted, each from the one before on, and at which views are
# compared.
AGES = (100, 300, 500)


@dataclass(frozen=True)
class WorldConfig:
    """drives: scenarios. drivers: each drives all of them. before: steps driven before the context. steps: after it.
    every: steps between the moments that are looked at. replicates: of drives. seed: of all chance.
    """

    drives: int = 64
    drivers: tuple[str, ...] = ("careful", "dream")
    before: int = 20
    steps: int = 500
    every: int = 5
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, drives=1, before=0, steps=1, every=1, replicates=1)
        if not self.drivers:
            raise ValueError("there are no drivers: name at least one, as in careful")

    @property
    def ages(self) -> list[int]:
        """Those of `AGES` that are reached, or else the last step."""
        return [age for age in AGES if age <= self.steps] or [self.steps]


def measure_world(
    checkpoint: Checkpoint, data: PackedData, folder: Path, workers: int, config: WorldConfig | None = None
) -> tuple[Part, ...]:
    """A part for each driver, "world_<driver>", or one that says why there is none. The scenarios are the first of
    those in `data` that the twin can drive.

    Raises:
        ImportError: if the twin's simulator is needed and not installed.
        ValueError: if no drive in the simulator lasts until a context is over.
    """
    config = config or WorldConfig()
    seeds = np.unique(data.seeds[data.simulators == SIMULATOR])[: config.drives]
    if not len(seeds):
        reason = f"no episode was recorded in {SIMULATOR}, whose scenarios are driven"
        return (not_applicable("world", "L1: a world for as long as an episode", reason),)
    model, contract = checkpoint.model, checkpoint.contract
    drives = DrivesConfig(len(seeds), config.before, config.steps, config.every, seed=config.seed)
    parts = []
    for driver in config.drivers:
        source = TwinDrives(contract.name, model.observes, (), model.context_steps, driver, drives, folder)
        found = drive_twin(source, seeds, workers)
        dream, twin = drive_dream(checkpoint, found, (), driver, drives), twin_side(found, (), True)
        compared = compare(dream, twin, drives.drawn, config.ages, contract, config.replicates, config.seed)
        parts.append(world_part(driver, compared, dream, twin, drives, contract.dt))
    return tuple(parts)
