"""A tiny transformer without training, and moments of noise."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.spec import CONTRACTS, NUM_CLASSES
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.transformer.config import SIZES
from learned_sim_env.world_model.transformer.model import DrivingTransformer

CONTRACT = CONTRACTS["driving-camera"]


def tiny() -> DrivingTransformer:
    """Frozen; its weights are larger than a new model's, so that everything matters."""
    torch.manual_seed(0)
    model = DrivingTransformer(SIZES["transformer-tiny"], CONTRACT)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
    return model.eval().requires_grad_(False)


def some(model: DrivingTransformer, rows: int, seed: int) -> dict[str, Tensor]:
    """An observation of random numbers, rows alike whatever else there is."""
    observation = {}
    for name in model.observes:
        m = model.contract.modality(name)
        values = torch.stack(
            [torch.rand(m.shape, generator=torch.Generator().manual_seed(1000 * seed + row)) for row in range(rows)]
        )
        if m.kind == "vector":
            observation[name] = values
        else:
            observation[name] = (values * (NUM_CLASSES if m.kind == "classes" else 256)).to(torch.uint8)
    return observation


def actions(rows: int, seed: int) -> Tensor:
    """(rows, 2) in [-1, 1]."""
    chance = [torch.Generator().manual_seed(1000 * seed + row) for row in range(rows)]
    return torch.stack([torch.rand(2, generator=g) * 2 - 1 for g in chance])


def noise(model: DrivingTransformer, rows: int, seed: int) -> Tensor:
    """(rows, noise_size) in [0, 1)."""
    chance = [torch.Generator().manual_seed(1000 * seed + row) for row in range(rows)]
    return torch.stack([torch.rand(model.noise_size, generator=g) for g in chance])


def driven(model: DrivingTransformer, rows: int, real: int, dreamt: int) -> State:
    """The state after some real moments and some imagined ones."""
    with torch.inference_mode():
        state = model.initial(rows)
        for t in range(real):
            state = model.observe(state, actions(rows, t), some(model, rows, t))
        for t in range(real, real + dreamt):
            state = model.imagine(state, actions(rows, t), noise(model, rows, t))
    return state
