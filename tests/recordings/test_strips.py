"""A drive as a picture: its path leads upwards, and cameras stand below."""

from __future__ import annotations

import numpy as np

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.drives import drives_of
from learned_sim_env.recordings.strips import GAP, RECORDED, SEEN, overview, strip
from learned_sim_env.recordings.views import NO_VIEWS, Views
from learned_sim_env.spec import PALETTE, SemanticClass


def test_path_leads_upwards_and_cameras_stand_below(write):
    (recording,) = formats.read(write("table"))
    (drive,) = drives_of(recording)
    seen = overview(drive, 130)
    row, column = np.nonzero((seen == RECORDED).all(-1))
    assert len(row) > 20 and row.max() > 90 and row.min() < 40 and abs(np.median(column) - 65) < 15
    ego = np.argwhere((seen == PALETTE[SemanticClass.EGO]).all(-1))
    assert ego[:, 0].min() > 65
    alone = strip(drive, NO_VIEWS)
    assert np.array_equal(alone[:130, :130], seen)
    frames = np.arange(len(drive) + 1, dtype=np.uint8)[:, None, None, None] + np.zeros((64, 96, 3), np.uint8)
    both = strip(drive, Views({"front": frames}, {"front": np.ones(len(frames), bool)}, {"front": 1.0}))
    assert np.array_equal(both[:130], alone)
    # Moments without a picture are not shown.
    every_other = np.arange(len(frames)) % 2 == 1
    some = strip(drive, Views({"front": frames}, {"front": every_other}, {"front": 1.0}))
    assert (some[-1, 10 :: 96 + GAP, 0][:SEEN] % 2 == 1).all()
    shown = both[-1, 10 :: 96 + GAP, 0][:SEEN]
    assert shown[0] == 0 and shown[-1] == len(drive) and (np.diff(shown.astype(int)) > 0).all()
