"""Drives of half a minute or more in dreams and in their twin, as parts of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.drives.dream_drives import drive_dream
from learned_sim_env.evaluation.drives.drives import AGES, Drives, DrivesConfig
from learned_sim_env.evaluation.drives.twin_drives import SIMULATOR, TwinDrives, drive_twin, twin_side
from learned_sim_env.evaluation.levels.camera_drives.frames_over_time import DREAM, LATE, frames_over_time
from learned_sim_env.evaluation.levels.camera_drives.upkeep_part import upkeep_part
from learned_sim_env.evaluation.open_loop import context_of
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.world_model.checkpoint import Checkpoint

# What drives: the second where a model draws no view from above.
DRIVER, BLIND_DRIVER = "careful-6", "follow-6"


def paired_drives(
    checkpoint: Checkpoint,
    seeds: np.ndarray,
    folder: Path,
    workers: int,
    config: DrivesConfig,
    beside: Sequence[Checkpoint] = (),
) -> tuple[dict[str, Drives], Drives]:
    """The dreams' drives by name, `DREAM` the first, and the twin's, of scenarios `seeds` (N,); all cameras that the
    model draws.

    folder: where the twin's are kept. beside: further models, which draw the same cameras.
    """
    every, contract = (checkpoint, *beside), checkpoint.contract
    viewed = all("bev" in one.model.draws for one in every)
    driver = DRIVER if viewed else BLIND_DRIVER
    cameras = _cameras(checkpoint)
    observed = tuple(dict.fromkeys(name for one in every for name in one.model.observes))
    context = context_of(one.model for one in every)
    source = TwinDrives(contract.name, observed, cameras, context, driver, config, folder)
    found = drive_twin(source, seeds, workers)
    names = (DREAM, *(one.name for one in beside))
    dreams = {name: drive_dream(one, found, cameras, driver, config) for name, one in zip(names, every)}
    return dreams, twin_side(found, cameras, viewed)


def measure_drives(
    checkpoint: Checkpoint,
    data: PackedData,
    folder: Path,
    workers: int,
    config: DrivesConfig | None = None,
    beside: Sequence[Checkpoint] = (),
) -> tuple[Part, ...]:
    """The scenarios are the first of those in `data` that the twin can drive.

    beside: further checkpoints; those that draw other cameras are left out.

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
    alike = [one for one in beside if set(_cameras(one)) >= set(_cameras(checkpoint))]
    dreams, twin = paired_drives(checkpoint, seeds, folder, workers, config, alike)
    ages = [age for age in AGES if age <= config.steps]
    # Only drives that last count there, of which few last longer.
    compared = [age for age in ages if age <= LATE]
    return (
        frames_over_time(dreams, twin, config.drawn, compared, config.seed),
        upkeep_part(dreams, twin, config.drawn, ages, checkpoint.contract, config.seed),
    )


def _cameras(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Names of those that a model draws."""
    model = checkpoint.model
    return tuple(name for name in model.draws if model.contract.modality(name).kind == "rgb")
