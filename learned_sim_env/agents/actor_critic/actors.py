"""What an actor decides: distributions over bounded numbers and over discrete actions, drawn by noise that is given.

Both are functions of a network's outputs and of noise, so that noise can be held for some steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from learned_sim_env.agents.decisions import ACTION_KINDS, BINS, are_bins

# Share of the uniform distribution that is mixed into that of discrete actions, so that none is ever given up.
UNIMIX = 0.01


class Decision(Protocol):
    """A distribution of N rows over what can be decided."""

    def draw(self, noise: Tensor) -> Tensor:
        """What is decided, (N, 2) float32, (N, 2) or (N,) int64, given noise (N, n) of `drawn_noise`."""
        ...

    def log_prob(self, decided: Tensor) -> Tensor:
        """(N,) log-probabilities (of densities, for numbers) of what `draw` gave."""
        ...

    def entropy(self) -> Tensor:
        """(N,) [nats]."""
        ...


@dataclass(frozen=True)
class Spread:
    """Standard deviations of bounded numbers: the least, the most, and about the first one."""

    least: float = 0.1
    most: float = 1.0
    first: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.least < self.first < self.most:
            raise ValueError(f"spreads must rise: 0 < least {self.least} < first {self.first} < most {self.most}")

    def of(self, numbers: Tensor) -> Tensor:
        """Deviations for a network's outputs; `first` for 0."""
        share = (self.first - self.least) / (self.most - self.least)
        return self.least + (self.most - self.least) * (numbers + math.log(share / (1 - share))).sigmoid()


class Bounded:
    """Two normal numbers whose means are bounded by 1, as DreamerV3's "bounded normal" (arXiv 2301.04104, code).

    What is drawn may lie beyond 1 and is clipped where it is carried out; unlike that of a squashed distribution, its
    log-probability has no singularity there.

    numbers: (N, 4), means before tanh and spreads before `Spread.of`.
    """

    def __init__(self, numbers: Tensor, spread: Spread):
        self.mean, self.deviation = numbers[:, :2].tanh(), spread.of(numbers[:, 2:])

    def draw(self, noise: Tensor) -> Tensor:
        """See `Decision`."""
        return self.mean + self.deviation * noise

    def log_prob(self, decided: Tensor) -> Tensor:
        """See `Decision`."""
        away = (decided - self.mean) / self.deviation
        return (-0.5 * away**2 - self.deviation.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """See `Decision`."""
        return (self.deviation.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


class OneOfEach:
    """One of n choices for each of k components, independent of each other.

    logits: (N, k, n).
    """

    def __init__(self, logits: Tensor):
        likely = (1 - UNIMIX) * logits.softmax(-1) + UNIMIX / logits.shape[-1]
        self.logs = likely.log()

    def draw(self, noise: Tensor) -> Tensor:
        """See `Decision`; by the Gumbel-max trick."""
        return (self.logs + noise.view_as(self.logs)).argmax(-1)

    def log_prob(self, decided: Tensor) -> Tensor:
        """See `Decision`; never below k ln(`UNIMIX` / n)."""
        return self.logs.gather(-1, decided[..., None])[..., 0].sum(-1)

    def entropy(self) -> Tensor:
        """See `Decision`."""
        return -(self.logs.exp() * self.logs).sum((-1, -2))

    def divergence(self, other: OneOfEach) -> Tensor:
        """(N,) the Kullback-Leibler divergence of this distribution from another one [nats]."""
        return (self.logs.exp() * (self.logs - other.logs)).sum((-1, -2))


class OneOf(OneOfEach):
    """One of the discrete actions.

    logits: (N, n).
    """

    def __init__(self, logits: Tensor):
        super().__init__(logits[:, None])

    def draw(self, noise: Tensor) -> Tensor:
        """See `Decision`."""
        return super().draw(noise)[:, 0]

    def log_prob(self, decided: Tensor) -> Tensor:
        """See `Decision`."""
        return super().log_prob(decided[:, None])


def decision(kind: str, numbers: Tensor, spread: Spread) -> Decision:
    """The distribution that outputs (N, `ACTION_KINDS`[kind]) of a network stand for."""
    return Bounded(numbers, spread) if kind in ("targets", "actions") else chosen(kind, numbers)


def chosen(kind: str, numbers: Tensor) -> OneOfEach:
    """As `decision`, of kinds that choose: bins or the discrete actions."""
    return OneOfEach(numbers.unflatten(-1, (2, BINS))) if are_bins(kind) else OneOf(numbers)


def drawn_noise(kind: str, rows: int, generator: torch.Generator) -> Tensor:
    """Noise of `rows` rows for `Decision.draw`."""
    if kind in ("targets", "actions"):
        return torch.randn(rows, 2, generator=generator)
    uniform = torch.rand(rows, ACTION_KINDS[kind], generator=generator).clamp_min(1e-20)
    return -(-uniform.log()).clamp_min(1e-20).log()
