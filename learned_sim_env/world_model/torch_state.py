"""Isolation from torch's global settings: models are made and called with settings of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def own_state(device: str = "cpu") -> Iterator[None]:
    """Inside, torch has its default settings, whatever the caller has set; afterwards the caller's are restored.

    That is: new tensors are float32 and on the CPU, there is no autocast, and matrix products have full precision.
    An inference mode, or disabled gradients, stay in force.

    device: type of the device that is used, as torch names it.
    """
    # The default device is a function mode, as are others that a caller may be in.
    with torch._C.DisableTorchFunction():
        casts = [kind for kind in {"cpu", device} if torch.is_autocast_enabled(kind)]
        dtype, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
        # A shortcut, because mostly nothing is set, and a step of one row takes less than a millisecond.
        if not casts and dtype == torch.float32 and precision == "highest":
            yield
            return
        with ExitStack() as stack:
            for kind in casts:
                stack.enter_context(torch.autocast(kind, enabled=False))
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")
            yield


@contextmanager
def making() -> Iterator[None]:
    """As `own_state`, for making a module: weights are no inference tensors, and no random numbers are consumed."""
    with own_state(), torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        yield
