"""What imagined steps are worth: lambda-returns, and the scale that makes advantages alike across tasks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def lambda_returns(rewards: Tensor, discounts: Tensor, next_values: Tensor, cut: Tensor, lam: float) -> Tensor:
    """Lambda-returns (T, B) of T steps of B rows (Sutton & Barto 2018, section 12.1; arXiv 2301.04104, eq. 4).

    R[t] = rewards[t] + discounts[t] ((1 - lam) next_values[t] + lam R[t + 1]), where R[t + 1] is next_values[t] at the
    last step and where a row was cut: what comes next there is not the future of that step.

    Args:
        rewards: (T, B).
        discounts: (T, B), of what follows the step; 0 where nothing does.
        next_values: (T, B), values of the states that the steps led to.
        cut: (T, B) bool, steps after which the row was put elsewhere.
        lam: 0 for one step and the value after it, 1 for all steps.
    """
    returns = torch.empty_like(rewards)
    following = next_values[-1]
    for t in reversed(range(len(rewards))):
        following = torch.where(cut[t], next_values[t], following)
        following = rewards[t] + discounts[t] * torch.lerp(next_values[t], following, lam)
        returns[t] = following
    return returns


class ReturnScale(nn.Module):
    """The range of returns from their 5th to their 95th percentile, averaged over updates (DreamerV3, eq. 7).

    Advantages are divided by it, but never by less than `least`, so that small returns of a task with sparse rewards
    are not blown up.

    Args:
        rate: share of the newest range in the average.
        least: in units of the return.
    """

    range: Tensor

    def __init__(self, rate: float = 0.01, least: float = 1.0):
        super().__init__()
        self.rate, self.least = rate, least
        # NaN until there is one: the first is taken as it is.
        self.register_buffer("range", torch.tensor(float("nan")))

    @torch.no_grad()
    def update(self, returns: Tensor) -> Tensor:
        """The divisor (), after the returns (...) of one more update."""
        low, high = torch.quantile(returns.flatten(), returns.new_tensor([0.05, 0.95]))
        newest = high - low
        self.range.copy_(torch.where(self.range.isnan(), newest, torch.lerp(self.range, newest, self.rate)))
        return self.divisor

    @property
    def divisor(self) -> Tensor:
        """() what advantages are divided by."""
        return self.range.clamp_min(self.least)
