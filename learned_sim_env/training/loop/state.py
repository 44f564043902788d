"""A training run's state on disk: all that is needed to resume it, written atomically, without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from learned_sim_env.files import replacing


def save_state(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer | None,
    step: int,
    memories: Sequence[Mapping[str, Tensor]] = (),
) -> None:
    """Write model, optimiser moments (if there is an optimiser) and step to one safetensors file.

    memories: of each process, see `Objective.memory`.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in (optimizer.state.get(parameter, {}) if optimizer else {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    for rank, memory in enumerate(memories):
        tensors.update({f"memory.{rank}.{name}": value for name, value in memory.items()})
    with replacing(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, {"step": str(step)})


def load_state(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None, rank: int = 0
) -> tuple[int, dict[str, Tensor]]:
    """Read back what `save_state` wrote, into `model` and `optimizer`; returns the step and the memory of a process."""
    moments: dict[str, dict[str, Tensor]] = {}
    weights: dict[str, Tensor] = {}
    memory: dict[str, Tensor] = {}
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
        for key in file.keys():  # noqa: SIM118  it is no dict
            kind, _, name = key.partition(".")
            if kind == "model":
                weights[name] = file.get_tensor(key)
            elif kind == "optimizer":
                parameter, _, moment = name.rpartition(".")
                moments.setdefault(parameter, {})[moment] = file.get_tensor(key)
            elif name.startswith(f"{rank}."):
                memory[name.partition(".")[2]] = file.get_tensor(key)
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters():
        if optimizer is not None and name in moments:
            # Laid out in memory as the parameter is: a fused optimiser goes through both in the order of memory.
            optimizer.state[parameter] = {
                k: v.to(parameter.device) if k == "step" else torch.empty_like(parameter, requires_grad=False).copy_(v)
                for k, v in moments[name].items()
            }
    return step, memory
