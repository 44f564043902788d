"""A simulator whose dynamics are known, for tests of the twin."""

from __future__ import annotations

import pytest

from learned_sim_env.simulators import SIMULATORS


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy simulator is one of the known ones."""
    monkeypatch.setitem(SIMULATORS, "toy", "tests.toy_simulator:ToySimulator")
