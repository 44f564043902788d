"""torch has settings that hold everywhere; models are made and called in settings of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def own_state(device: str = "cpu") -> Iterator[None]:
    """Inside, torch is as it is when a program starts, whatever the caller has set; afterwards as it was.

    That is: numbers are float32 by default, new tensors lie on the CPU, nothing is cast automatically, products are of
    full precision. Inside an inference mode, or with gradients switched off, one stays.

    device: type of the device that is computed on, as torch names it.
    """
    # The default device is a function mode, as are others that a caller may be in.
    with torch._C.DisableTorchFunction():
        casts = [kind for kind in {"cpu", device} if torch.is_autocast_enabled(kind)]
        dtype, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
        # Mostly nothing is set, and a step of one row takes less than a thousandth of a second.
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
    """As `own_state`, to make a module in: its weights are no inference tensors, and no random numbers are used up."""
    with own_state(), torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        yield
