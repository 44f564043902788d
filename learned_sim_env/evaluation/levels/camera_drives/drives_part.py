"""Drives of half a minute in the dream and in its twin, as parts of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.camera_drives.dream_drives import drive_dream
from learned_sim_env.evaluation.levels.camera_drives.drives import AGES, BLIND_DRIVER, DRIVER, Drives, DrivesConfig
from learned_sim_env.evaluation.levels.camera_drives.frames_over_time import frames_over_time
from learned_sim_env.evaluation.levels.camera_drives.twin_drives import SIMULATOR, TwinDrives, drive_twin, twin_side
from learned_sim_env.evaluation.levels.camera_drives.upkeep_part import upkeep_part
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.world_model.checkpoint import Checkpoint


def paired_drives(
    checkpoint: Checkpoint, seeds: np.ndarray, folder: Path, workers: int, config: DrivesConfig
) -> tuple[Drives, Drives]:
    """The dream's and the twin's drives of scenarios `seeds` (N,), all cameras that the model draws.

    folder: where the twin's are kept.
    """
    model, contract = checkpoint.model, checkpoint.contract
    viewed = "bev" in model.draws
    driver = DRIVER if viewed else BLIND_DRIVER
    cameras = tuple(name for name in model.draws if contract.modality(name).kind == "rgb")
    source = TwinDrives(contract.name, model.observes, cameras, model.context_steps, driver, config, folder)
    found = drive_twin(source, seeds, workers)
    return drive_dream(checkpoint, found, cameras, driver, config), twin_side(found, cameras, viewed)


def measure_drives(
    checkpoint: Checkpoint, data: PackedData, folder: Path, workers: int, config: DrivesConfig | None = None
) -> tuple[Part, ...]:
    """The scenarios are the first of those in `data` that the twin can drive.

    Returns:
        Parts named "camera_frames_over_time" and "camera_upkeep", or one that says why there are none.

    Raises:
        ImportError: if the twin's simulator is needed and not installed.
        ValueError: if no drive in the simulator lasts until a context is over.
    """
    config = config or DrivesConfig()
    seeds = np.unique(data.seeds[data.simulators == SIMULATOR])[: config.drives]
    if not len(seeds):
        reason = f"no episode was recorded in {SIMULATOR}, whose scenarios are driven"
        return (not_applicable("camera_drives", "L1: cameras while driving on", reason),)
    dream, twin = paired_drives(checkpoint, seeds, folder, workers, config)
    ages = [age for age in AGES if age <= config.steps]
    return (
        frames_over_time(dream, twin, config.drawn, ages, config.seed),
        upkeep_part(dream, twin, config.drawn, ages, checkpoint.contract, config.seed),
    )
