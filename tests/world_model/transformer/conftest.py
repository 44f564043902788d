"""A tiny transformer without training."""

from __future__ import annotations

import pytest

from learned_sim_env.world_model.transformer.model import DrivingTransformer
from tests.tiny_transformer import tiny


@pytest.fixture(scope="session")
def model() -> DrivingTransformer:
    return tiny()
