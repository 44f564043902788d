"""One small real collection, shared by the tests that read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from learned_sim_env.data.collect import CollectConfig, collect


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five MetaDrive episodes of at most 25 steps, seeds 6 to 10: three behaviours, both training splits."""
    pytest.importorskip("metadrive", reason="MetaDrive is not installed")
    pytest.importorskip("minari", reason="Minari is not installed")
    folder = tmp_path_factory.mktemp("collections") / "metadrive-train-v0"
    collect(CollectConfig(out=folder, episodes=5, seed_start=6, max_steps=25, workers=1, flat=True))
    return folder
