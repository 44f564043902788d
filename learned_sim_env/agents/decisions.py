"""What a policy may decide, what a network's outputs say of it, and how it becomes an action, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.drivers.route import follow, targets_of
from learned_sim_env.spec import DISCRETE_ACTIONS

# Numbers between -1 and 1 that one of is chosen for each component, closer together near 0 where accuracy counts
# (the "foveated" bins of Baker et al. 2022, arXiv 2206.11795).
BINS = 21
CENTRES = (np.linspace(-1, 1, BINS) * np.abs(np.linspace(-1, 1, BINS))).astype(np.float32)
# What is decided, and how many numbers a network gives for that: means and spreads of two bounded numbers, which are
# targets of a route follower or [steer, throttle_brake]; logits of bins of each of these; or of the discrete actions.
ACTION_KINDS = {
    "targets": 4,
    "actions": 4,
    "target-bins": 2 * BINS,
    "action-bins": 2 * BINS,
    "discrete": len(DISCRETE_ACTIONS),
}


def are_targets(kind: str) -> bool:
    """Whether what is decided are targets of a route follower."""
    return kind in ("targets", "target-bins")


def are_bins(kind: str) -> bool:
    """Whether the number of a bin is decided for each component."""
    return kind in ("target-bins", "action-bins")


def likeliest(kind: str, numbers: Tensor) -> Tensor:
    """What a policy decides without chance, from a network's outputs (N, `ACTION_KINDS`[kind]).

    Returns:
        (N, 2) float32 in [-1, 1], the bins (N, 2) int64, or the discrete action (N,) int64.
    """
    if are_bins(kind):
        return numbers.unflatten(-1, (2, BINS)).argmax(-1)
    return numbers.argmax(-1) if kind == "discrete" else numbers[:, :2].tanh()


def carried_out(kind: str, decided: np.ndarray, ego: np.ndarray) -> np.ndarray:
    """The actions (N, 2) float32 in [-1, 1] that carry out what was decided, given ego vectors (N, 6)."""
    if kind == "discrete":
        return DISCRETE_ACTIONS[decided]
    bounded = CENTRES[decided] if are_bins(kind) else np.clip(decided, -1.0, 1.0)
    return follow(bounded, ego) if are_targets(kind) else bounded


def decided_by(kind: str, actions: np.ndarray, ego: np.ndarray) -> np.ndarray:
    """What would have been decided to act so, or most nearly so: the inverse of `carried_out`.

    actions: (N, 2) in [-1, 1]. ego: (N, 6).
    """
    if kind == "discrete":
        return ((actions[:, None] - DISCRETE_ACTIONS) ** 2).sum(-1).argmin(-1)
    wanted = targets_of(actions, ego) if are_targets(kind) else actions
    return np.abs(wanted[..., None] - CENTRES).argmin(-1) if are_bins(kind) else wanted


def centred(kind: str, start: tuple[float, float], spread: float = 0.5) -> Tensor:
    """(`ACTION_KINDS`[kind],) outputs of a network by which it decides about `start`, two numbers in [-1, 1]."""
    if kind == "discrete":
        return torch.zeros(ACTION_KINDS[kind])
    if are_bins(kind):
        away = (torch.from_numpy(CENTRES) - torch.tensor(start)[:, None]) / spread
        return (-0.5 * away**2).flatten()
    return torch.cat([torch.tensor(start).atanh(), torch.zeros(2)])
