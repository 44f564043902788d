"""Training a part of a model by itself."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from learned_sim_env.training.loop.schedule import share_of_peak
from learned_sim_env.training.loop.state import load_state, save_state
from learned_sim_env.training.progress import Progress

# Gradients are scaled down to this norm; share of the learning rate's peak at which it ends; steps over which it rises.
CLIP_NORM, LAST, WARMUP = 5.0, 0.01, 100
# Seconds after which what has been reached is kept; steps between what is said, and between checks.
KEPT_EVERY, SAID_EVERY, CHECKED_EVERY = 60.0, 500, 50

# Name of the least that a check has said, beside the weights of that moment.
LEAST = "least"


def train_alone(
    module: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    peak: float,
    name: str,
    folder: Path | None = None,
    check: Callable[[], float] | None = None,
) -> None:
    """Train what is in `module`, by a loss of each step.

    Args:
        module: to be trained, in place.
        loss_of: the loss of a step, by its number.
        steps: how many.
        peak: of the learning rate.
        name: what is said to be trained.
        folder: where what has been reached is kept, so that the same training goes on from there, exactly, after its
            process was ended; None: nowhere.
        check: how bad the module is now, on what it does not learn from: in the end it has the weights with which that
            was least, be it those from the start. None: those of the last step.
    """
    optimizer, first = torch.optim.AdamW(module.parameters(), peak, weight_decay=1e-5), 0
    kept = None if folder is None else folder / f"alone-{_fingerprint(module, steps, peak, name)}.safetensors"
    best: dict[str, Tensor] = {}
    if kept is not None and kept.exists():
        first, best = load_state(kept, module, optimizer)
    elif check is not None:
        best = _better(module, check, best)
    progress, saved = Progress(first, steps, name=name), time.monotonic()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = peak * share_of_peak(step, steps, WARMUP, LAST)
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
        optimizer.step()
        progress.advance()
        done = step + 1
        if check is not None and (done % CHECKED_EVERY == 0 or done == steps):
            best = _better(module, check, best)
        if done % SAID_EVERY == 0:
            checked = {"least": float(best[LEAST])} if best else {}
            progress.news(done, {"loss": float(loss.detach()), **checked})
        if kept is not None and (done == steps or time.monotonic() - saved >= KEPT_EVERY):
            save_state(kept, module, optimizer, done, [best])
            saved = time.monotonic()
    progress.close()
    if best:
        module.load_state_dict({name: value for name, value in best.items() if name != LEAST})


def _better(module: nn.Module, check: Callable[[], float], best: dict[str, Tensor]) -> dict[str, Tensor]:
    """The module's weights and what `check` says of them, as `LEAST`, if that is less than it was."""
    with torch.no_grad():
        found = torch.tensor(check())
    if best and not found < best[LEAST]:
        return best
    return {LEAST: found, **{name: value.detach().clone() for name, value in module.state_dict().items()}}


def _fingerprint(module: nn.Module, steps: int, peak: float, name: str) -> str:
    """Tells a training, by what it begins with, from others in the same folder."""
    found = hashlib.sha256(f"{name} {steps} {peak}".encode())
    for key, value in module.state_dict().items():
        found.update(key.encode() + value.detach().float().cpu().numpy().tobytes())
    return found.hexdigest()[:12]
