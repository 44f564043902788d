"""Make contact sheets of cameras, the dream beside its twin in every weather: run it from the project's root.

`python docs/make_camera_sheets.py CHECKPOINT [SEED ...]` writes docs/cameras/<condition>.png for each condition. Both
begin at the same moment of a scenario (of the validation split, another for each condition, unless seeds are given) and
are driven by the same driver; rows are 0, 5, 15 and 30 steps later. Needs [metadrive,train].
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from learned_sim_env.evaluation.levels.camera_drives.drives import Drives, DrivesConfig
from learned_sim_env.evaluation.levels.camera_drives.drives_part import paired_drives
from learned_sim_env.files import replacing
from learned_sim_env.films import labelled
from learned_sim_env.rendering.camera import CONDITIONS
from learned_sim_env.world_model.checkpoint import from_pretrained

OUT = Path("docs/cameras")
STEPS = (0, 5, 15, 30)
# Side by side, as a driver sees them.
ORDER = ("left", "front", "right")
SEEDS = (39, 49, 59, 79, 99, 119)
# [pixels] Between the dream and its twin.
GAP, SCALE = 6, 2


def sheet(dream: Drives, twin: Drives, drawn: list[int], condition: str) -> np.ndarray:
    """(H, W, 3) uint8: a row for each of `STEPS`, the dream's cameras on the left, the twin's on the right."""
    rows = []
    for step in STEPS:
        i = drawn.index(step)
        sides = [np.concatenate([side.frames[name][0, i] for name in ORDER], 1) for side in (dream, twin)]
        row = np.concatenate([sides[0], np.zeros((sides[0].shape[0], GAP, 3), np.uint8), sides[1]], 1)
        rows.append(labelled(row, f"{condition}, {step} steps: dream | simulator", SCALE))
    return np.concatenate(rows)


def main(checkpoint: str, seeds: tuple[int, ...]) -> None:
    """One sheet for each condition."""
    loaded = from_pretrained(checkpoint)
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for i, condition in enumerate(CONDITIONS):
            config = DrivesConfig(drives=1, before=30, steps=max(STEPS), every=1, appearance=condition)
            seed = seeds[i % len(seeds)]
            dream, twin = paired_drives(loaded, np.array([seed]), Path(folder), 1, config)
            with replacing(OUT / f"{condition}.png") as temporary:
                picture = Image.fromarray(sheet(dream, twin, config.drawn, condition))
                picture.save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("name a checkpoint: python docs/make_camera_sheets.py CHECKPOINT [SEED ...]")
    main(sys.argv[1], tuple(map(int, sys.argv[2:])) or SEEDS)
