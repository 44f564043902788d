"""A training run's state on disk: all that is needed to resume it, written atomically, without pickle."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from learned_sim_env.files import replacing


def save_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write model, optimiser moments and step to one safetensors file."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    with replacing(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, {"step": str(step)})


def load_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Read back what `save_state` wrote, into `model` and `optimizer`; returns the step."""
    moments: dict[str, dict[str, torch.Tensor]] = {}
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
        keys, weights = file.keys(), {}
        for key in keys:
            kind, _, name = key.partition(".")
            if kind == "model":
                weights[name] = file.get_tensor(key)
            else:
                parameter, _, moment = name.rpartition(".")
                moments.setdefault(parameter, {})[moment] = file.get_tensor(key)
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters():
        if name in moments:
            optimizer.state[parameter] = {
                k: v if k == "step" else v.to(parameter.device) for k, v in moments[name].items()
            }
    return step
