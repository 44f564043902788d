"""Make contact sheets of cameras, the dream beside its twin in every weather: run it from the project's root.

`python docs/make_camera_sheets.py CHECKPOINT [SEED ...]` writes docs/cameras/<condition>.png for each condition, and
overview.png with a row of each. Both begin at the same moment of a scenario (of the validation split, another for each
condition, unless seeds are given) and are driven by the same driver; rows are 0, 5, 15 and 30 steps later. Needs
[metadrive,train].
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.evaluation.levels.camera_drives.drives_part import paired_drives
from learned_sim_env.evaluation.levels.camera_drives.frames_over_time import DREAM
from learned_sim_env.films import above, beside, labelled, save_picture
from learned_sim_env.rendering.camera import CONDITIONS
from learned_sim_env.world_model.checkpoint import from_pretrained

OUT = Path("docs/cameras")
# Those of a sheet, and that of the overview.
STEPS, OVERVIEW = (0, 5, 15, 30), 15
# Side by side, as a driver sees them.
ORDER = ("left", "front", "right")
# With traffic ahead, one for each condition.
SEEDS = (139, 149, 179, 79, 129, 119)
SCALE, GAP = 2, 6


def row(dream: Drives, twin: Drives, moment: int, condition: str, step: int) -> np.ndarray:
    """(H, W, 3) uint8: the dream's cameras and, after a gap, the twin's, each under its name."""
    named = ((dream, f"{condition}: imagined, {step / 10:.1f} s since the last real frame"), (twin, "MetaDrive"))
    sides = [labelled(beside([side.frames[n][0, moment] for n in ORDER], 1), text, SCALE) for side, text in named]
    return beside(sides, GAP)


def main(checkpoint: str, seeds: tuple[int, ...]) -> None:
    """A sheet for each condition, and the overview."""
    loaded = from_pretrained(checkpoint)
    OUT.mkdir(parents=True, exist_ok=True)
    overview = []
    with tempfile.TemporaryDirectory() as folder:
        for i, condition in enumerate(CONDITIONS):
            config = DrivesConfig(drives=1, before=30, steps=max(STEPS), every=1, appearance=condition)
            seed = seeds[i % len(seeds)]
            dreams, twin = paired_drives(loaded, np.array([seed]), Path(folder), 1, config)
            rows = {step: row(dreams[DREAM], twin, config.drawn.index(step), condition, step) for step in STEPS}
            save_picture(OUT / f"{condition}.png", above(list(rows.values())))
            overview.append(rows[OVERVIEW])
    save_picture(OUT / "overview.png", above(overview))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("name a checkpoint: python docs/make_camera_sheets.py CHECKPOINT [SEED ...]")
    main(sys.argv[1], tuple(map(int, sys.argv[2:])) or SEEDS)
