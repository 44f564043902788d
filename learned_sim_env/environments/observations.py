"""Observations in the form that `obs_type` asks for, rows of them, and pictures of many rows in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import Contract, observed_as


def needed(contract: Contract, obs_type: str, names: Iterable[str] | None = None) -> tuple[str, ...]:
    """The modalities that observations of `obs_type` are made of; `names` as for `Contract.observation_space`."""
    if obs_type in ("dict", "classes"):
        return contract.observation if names is None else tuple(names)
    return {"semantic": ("bev",), "flat": ("bev", "ego"), "latent": ()}.get(obs_type, (obs_type,))


def shown(seen: Mapping[str, np.ndarray], obs_type: str, contract: Contract) -> Any:
    """The observation of `obs_type`, other than "flat" and "latent", from its modalities, with or without rows."""
    if obs_type == "classes":
        return {observed_as(name): value for name, value in seen.items()}
    if obs_type == "semantic":
        return seen["bev"]
    coloured = {n: colourise(v) if contract.modality(n).kind == "classes" else v for n, v in seen.items()}
    return coloured if obs_type == "dict" else coloured[obs_type]


# From left to right, as a driver sees them.
_ABREAST = ("left", "front", "right")


def in_picture(contract: Contract, available: Iterable[str]) -> tuple[str, ...]:
    """What `picture` shows: the cameras of the contract's observations, or else the view from above."""
    there = set(available)
    cameras = [m.name for m in contract.cameras if m.name in contract.observation and m.name in there]
    ordered = [n for n in _ABREAST if n in cameras] + [n for n in cameras if n not in _ABREAST]
    if ordered or "bev" in there:
        return tuple(ordered) or ("bev",)
    pictures = [m.name for m in contract.modalities if m.kind != "vector" and m.name in there]
    return tuple(pictures[:1])


def in_view(contract: Contract, available: Iterable[str]) -> tuple[str, ...]:
    """What a window shows: the modalities of `picture`, and beside cameras the view from above."""
    there = tuple(available)
    names = in_picture(contract, there)
    return (*names, "bev") if "bev" in there and "bev" not in names else names


def picture(seen: Mapping[str, np.ndarray], contract: Contract) -> np.ndarray:
    """(..., H, W, 3) uint8 RGB of modalities of one height (..., H, W[, 3]), side by side."""
    parts = [colourise(v) if contract.modality(n).kind == "classes" else v for n, v in seen.items()]
    return np.concatenate(parts, axis=-2)


def take(observations: Any, i: int | slice) -> Any:
    """Row i alone, or the rows of a slice, copied."""
    if isinstance(observations, dict):
        return {name: value[i].copy() for name, value in observations.items()}
    return observations[i].copy()


def replace(observations: Any, mask: np.ndarray, others: Any) -> None:
    """Write `others` (n rows) over the n rows in `mask` (B,) bool."""
    if isinstance(observations, dict):
        for name, value in observations.items():
            value[mask] = others[name]
    else:
        observations[mask] = others


def tiled(frames: np.ndarray) -> np.ndarray:
    """(B, H, W, 3) frames side by side in a grid as square as possible, black where none is left: (R H, C W, 3)."""
    b, height, width, _ = frames.shape
    columns = int(np.ceil(np.sqrt(b)))
    rows = -(-b // columns)
    grid = np.zeros((rows * columns, height, width, 3), frames.dtype)
    grid[:b] = frames
    return grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
