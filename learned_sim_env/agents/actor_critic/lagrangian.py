"""The price of cost: a multiplier that rises as long as more cost is expected than allowed, and falls when less is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from learned_sim_env.spec import unknown


class Multiplier(Protocol):
    """A multiplier, kept in the buffers of an `nn.Module`."""

    def update(self, excess: float) -> float:
        """The price of a unit of cost, 0 or more, after one more look at how far the cost is above its limit."""
        ...


@dataclass(frozen=True)
class MultiplierSettings:
    """How the price of cost follows from its excess over the limit."""

    kind: str = "pid"
    """pid, or augmented (Lagrangian)."""
    kp: float = 0.1
    ki: float = 0.01
    kd: float = 0.01
    """Of the PID: on the excess, its sum, and its rise."""
    lam: float = 1e-6
    """First multiplier of the augmented Lagrangian."""
    mu: float = 0.01
    """First weight of its penalty, which is what the multiplier rises by; SafeDreamer's 5e-9 is for runs of millions of
    updates."""
    growth: float = 1e-5
    """Of that weight, in an update; it ends at 1."""


class PID(nn.Module):
    """A PID controller of the excess (Stooke et al. 2020, arXiv 2007.03964; SafeDreamer, arXiv 2307.07176).

    The sum of excesses is never below 0, so that a long time of little cost is not held against later cost.
    """

    total: Tensor
    last: Tensor

    def __init__(self, settings: MultiplierSettings):
        super().__init__()
        self.settings = settings
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))
        self.register_buffer("last", torch.zeros((), dtype=torch.float64))

    def update(self, excess: float) -> float:
        """See `Multiplier`."""
        s = self.settings
        self.total.add_(excess).clamp_(min=0)
        rise = max(excess - float(self.last), 0.0)
        self.last.fill_(excess)
        return max(0.0, s.kp * excess + s.ki * float(self.total) + s.kd * rise)


class AugmentedLagrangian(nn.Module):
    """The augmented Lagrangian of SafeDreamer (arXiv 2307.07176, eq. 8 and 9; its BSRP-Lag).

    With excess g, the penalty is psi = lam g + mu/2 g^2 where lam + mu g > 0, and else -lam^2 / (2 mu); its derivative
    by g, max(0, lam + mu g), is the price, and the next lam.
    """

    lam: Tensor
    mu: Tensor

    def __init__(self, settings: MultiplierSettings):
        super().__init__()
        self.settings = settings
        self.register_buffer("lam", torch.tensor(settings.lam, dtype=torch.float64))
        self.register_buffer("mu", torch.tensor(settings.mu, dtype=torch.float64))

    def penalty(self, excess: float) -> float:
        """psi."""
        lam, mu = float(self.lam), float(self.mu)
        return lam * excess + mu / 2 * excess**2 if lam + mu * excess > 0 else -(lam**2) / (2 * mu)

    def update(self, excess: float) -> float:
        """See `Multiplier`."""
        self.lam.copy_((self.lam + self.mu * excess).clamp_min(0))
        self.mu.mul_(1 + self.settings.growth).clamp_(max=1.0)
        return float(self.lam)


MULTIPLIERS: dict[str, type[PID] | type[AugmentedLagrangian]] = {"pid": PID, "augmented": AugmentedLagrangian}


def multiplier(settings: MultiplierSettings) -> PID | AugmentedLagrangian:
    """The multiplier of that kind; `ValueError` for an unknown kind."""
    if settings.kind not in MULTIPLIERS:
        raise unknown("multiplier", settings.kind, MULTIPLIERS)
    return MULTIPLIERS[settings.kind](settings)
