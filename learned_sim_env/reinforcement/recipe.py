"""How a policy is trained: the same in the dream and in the simulator, but for where it drives."""

from __future__ import annotations

from dataclasses import dataclass

from learned_sim_env.spec import unknown

PLACES = ("dream", "twin")
# What a policy may be shown: rays read off the view from above, or small pictures and the route, or the route; and
# always the ego vector.
SHOWN = ("rays", "cameras", "route")


@dataclass(frozen=True)
class Recipe:
    """PPO with a small network on `drivers.ray_features`, or on what cameras show."""

    steps: int = 200_000
    """Of the environment."""
    rollout: int = 8192
    """Steps between updates."""
    rows: int = 128
    """Episodes that advance together in the dream; the simulator has one."""
    horizon: int = 100
    """Steps after which an episode in the dream is cut off (and its value estimated), so that it stays where the dream
    is near the truth; the simulator's are whole.
    """
    penalty: float = 0.0
    """Weight of the model's uncertainty."""
    speed_limit: float = 8.0
    """[m/s] Above which progress pays less again; 0: none."""
    cost_weight: float = 30.0
    """Of the cost: to drive on briskly must not be worth a crash in ten seconds."""
    reward_scale: float = 0.05
    """Brings returns to the size that value networks like."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the network's layers."""
    learning_rate: float = 3e-4
    """Of Adam; it falls to a twentieth in a line."""
    batch_size: int = 512
    """Steps a gradient is taken of."""
    epochs: int = 10
    """Times that a rollout is gone through."""
    gamma: float = 0.99
    """Discount a step of 0.1 s."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation."""
    hold: int = 8
    """Steps for which what is tried out is held (generalised state-dependent exploration, arXiv 2005.05719): to brake
    for a moment tells nothing. 0: other noise in every step.
    """
    log_std: float = -2.7
    """Logarithm of the first standard deviation: of that exploration's weights, or of the actions themselves."""
    targets: bool = True
    """Whether the policy gives targets that a route follower carries out, see `policies.follow`, or the actions."""
    start: float = 0.3
    """Mean throttle, or target of the speed, of the first actions: a policy that never moves learns nothing."""
    sees: str = "rays"
    """What policies are shown besides the ego vector: rays (off the view from above), cameras (and the route), or the
    route. An experiment sets it by what its world model is shown.
    """
    privileged: bool = True
    """Whether the value network of a policy of cameras or route is shown what rays meet in the view from above. It does
    not drive.
    """
    reading: float = 1.0
    """Weight of the loss by which the network of cameras learns to read these rays off pictures while it learns to
    drive; 0: it learns by reward alone.
    """
    saves: int = 5
    """Policies that are kept: the last, that of half the steps, of a quarter, and so on."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.saves < 1:
            raise ValueError(f"steps is {self.steps} and saves {self.saves}; both must be at least 1")
        if self.rollout % self.rows or self.rollout < self.rows:
            raise ValueError(f"rollout {self.rollout} is not a multiple of rows {self.rows}")
        if self.sees not in SHOWN:
            raise unknown("sees", self.sees, SHOWN)

    @property
    def needs_bev(self) -> bool:
        """Whether an environment to train in has to show the view from above."""
        return self.sees == "rays" or self.privileged or (self.sees == "cameras" and self.reading > 0)

    @property
    def saved_steps(self) -> list[int]:
        """At how many steps policies are kept: by the first update after each of `saves` ever longer parts."""
        parts = [-(-self.steps // 2**i) for i in range(self.saves)]
        return sorted({-(-steps // self.rollout) * self.rollout for steps in parts})
