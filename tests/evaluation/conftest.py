"""One small world for all tests of the evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.spec import SCENARIO_TAGS
from tests.evaluation.world import episodes, packed


@pytest.fixture(scope="session")
def world() -> PackedData:
    """Six drawn episodes."""
    return packed(episodes())


@pytest.fixture(scope="session")
def tagged(world: PackedData) -> PackedData:
    """The drawn world, in which episode 0 is straight road and the others are curves with traffic."""
    tags = np.zeros_like(world.arrays["tags"])
    tags[: world.lengths[0], SCENARIO_TAGS.index("straight")] = True
    tags[world.lengths[0] :, [SCENARIO_TAGS.index("curve"), SCENARIO_TAGS.index("traffic")]] = True
    return replace(world, arrays={**world.arrays, "tags": tags})
