"""What tests of several commands need."""

from __future__ import annotations

import sys

import pytest

from learned_sim_env.simulators.metadrive import MetaDriveSimulator


@pytest.fixture
def no_metadrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """MetaDrive is not installed.

    While an earlier test's engine is still open in this process, a simulator would be opened in another one, which has
    MetaDrive.
    """
    monkeypatch.setitem(sys.modules, "metadrive", None)
    monkeypatch.setattr(MetaDriveSimulator, "in_use", staticmethod(lambda: False))
