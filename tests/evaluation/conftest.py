"""One small world for all tests of the evaluation."""

from __future__ import annotations

import pytest

from learned_sim_env.data.dataset import PackedData
from tests.evaluation.world import episodes, packed


@pytest.fixture(scope="session")
def world() -> PackedData:
    """Six drawn episodes."""
    return packed(episodes())
