"""A training loop that resumes exactly, for one network and a loss of the step's number."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from learned_sim_env.files import appending
from learned_sim_env.training.schedule import share_of_peak
from learned_sim_env.training.state import load_state, save_state

# Share of the learning rate's peak at which it ends.
LAST = 0.02


def train(
    model: nn.Module,
    loss: Callable[[int], tuple[Tensor, dict[str, Tensor]]],
    out: Path,
    steps: int,
    peak: float,
    evaluate: Callable[[], dict[str, float]],
    log_every: int = 20,
    save_every: int = 100,
    evaluate_every: int = 500,
    warmup: int = 100,
    stop_at: int | None = None,
) -> None:
    """Train `model` to `steps`; `loss(step)` gives the loss and its parts, with all chance decided by the step.

    stop_at: ends there, as if it was killed; a later call goes on.

    Folder `out` gets `state.safetensors`, with which a killed run goes on, and `metrics.jsonl`.
    """
    out.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(model.parameters(), peak, betas=(0.9, 0.98), weight_decay=1e-4)
    path = out / "state.safetensors"
    step = load_state(path, model, optimizer) if path.exists() else 0
    started = time.time()
    while step < (steps if stop_at is None else stop_at):
        for group in optimizer.param_groups:
            group["lr"] = peak * share_of_peak(step, steps, warmup, LAST)
        with torch.autocast("cpu", torch.bfloat16):
            total, parts = loss(step)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        step += 1
        row: dict[str, float] = {}
        if step % log_every == 0:
            row = {"total": float(total.detach()), **{k: float(v) for k, v in parts.items()}, "norm": float(norm)}
        if step % evaluate_every == 0 or step == steps:
            model.eval()
            row.update(evaluate())
            model.train()
        if row:
            row = {"step": step, "seconds": time.time() - started, **row}
            with appending(out / "metrics.jsonl") as file:
                file.write(json.dumps({k: round(v, 5) for k, v in row.items()}) + "\n")
            print(" ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
        if step % save_every == 0 or step in (steps, stop_at):
            save_state(path, model, optimizer, step)
