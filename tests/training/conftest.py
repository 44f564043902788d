"""A few drawn episodes as a collection that training can read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData, pack
from learned_sim_env.data.store import write_minari
from tests.evaluation.world import episode


@pytest.fixture(scope="session")
def packed_file(tmp_path_factory) -> Path:
    """Packed data: training seeds, two validation seeds, episodes that end in every way."""
    pytest.importorskip("minari")
    folder = tmp_path_factory.mktemp("collection")
    ends = ["time_limit", "collision", "off_road", "arrival"]
    seeds = [0, 1, 2, 3, 9, 19]
    drawn = [episode(seed, 60 + seed, ends[i % 4], (10.0 * i, -5.0, 0.4 * i)) for i, seed in enumerate(seeds)]
    # On the route, and with every tag, so that contexts can be chosen among them.
    near = np.array([1, 1, 1, 1, 0.1, 1], np.float32)
    drawn = [replace(e, tags=np.ones_like(e.tags), observations={**e.observations, "ego": e.ego * near}) for e in drawn]
    write_minari(folder / "data", drawn, "drawn/world-v0", "drawn")
    return pack(folder)


@pytest.fixture(scope="session")
def packed(packed_file) -> PackedData:
    """The same, read."""
    return PackedData.load(packed_file)
