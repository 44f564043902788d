"""How a policy is trained: the same in the dream and in the simulator, but for where it drives."""

from __future__ import annotations

from dataclasses import dataclass

PLACES = ("dream", "twin")


@dataclass(frozen=True)
class Recipe:
    """PPO with a small network on `sight`.

    steps: of the environment. rollout: steps between updates. rows: episodes that advance together in the dream; the
    simulator has one. horizon: steps after which an episode in the dream is cut off (and its value estimated), so that
    it stays where the dream is near the truth; the simulator's are whole. penalty: weight of the model's uncertainty.
    cost_weight: of the cost. reward_scale: brings returns to the size that value networks like. hidden: widths.
    log_std, throttle: of the first actions' chance, and their mean throttle: one that never moves learns nothing.
    """

    steps: int = 200_000
    rollout: int = 2048
    rows: int = 64
    horizon: int = 100
    penalty: float = 0.0
    cost_weight: float = 0.5
    reward_scale: float = 0.1
    hidden: tuple[int, ...] = (128, 128)
    learning_rate: float = 3e-4
    batch_size: int = 256
    epochs: int = 10
    gamma: float = 0.97
    gae_lambda: float = 0.95
    log_std: float = -0.7
    throttle: float = 0.3
    saves: int = 5

    def __post_init__(self) -> None:
        if self.steps < 1 or self.saves < 1:
            raise ValueError(f"steps is {self.steps} and saves {self.saves}; both must be at least 1")
        if self.rollout % self.rows or self.rollout < self.rows:
            raise ValueError(f"rollout {self.rollout} is not a multiple of rows {self.rows}")
