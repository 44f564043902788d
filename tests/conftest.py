"""What holds for every test: quiet threads, no windows, reproducible properties, and skips that say why."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Before anything imports torch, pygame or matplotlib.
for variable, value in {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "SDL_VIDEODRIVER": "dummy",
    "MPLBACKEND": "Agg",
}.items():
    os.environ.setdefault(variable, value)

# What a shell runs in the background ignores interrupts, and hang-ups under nohup, and so would the programs that tests
# interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A shared processor makes deadlines lie; the same commit is to give the same result.
settings.register_profile("reproducible", deadline=None, derandomize=True, database=None)
settings.load_profile("reproducible")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture
def two_threads() -> Iterator[None]:
    """PyTorch with two threads of the processor."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests.toy_simulator` is one of the known simulators, "toy"."""
    from learned_sim_env.simulators import SIMULATORS

    monkeypatch.setitem(SIMULATORS, "toy", "tests.toy_simulator:ToySimulator")
