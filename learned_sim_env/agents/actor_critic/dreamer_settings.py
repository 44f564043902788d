"""Settings of agents that learn an actor and a critic in dreams."""

from __future__ import annotations

from dataclasses import dataclass, field

from learned_sim_env.agents.actor_critic.actors import Spread
from learned_sim_env.agents.actor_critic.precision import DTYPES
from learned_sim_env.agents.settings import DreamSettings
from learned_sim_env.settings import check_at_least, check_shares
from learned_sim_env.spec import unknown


@dataclass(frozen=True, kw_only=True)
class DreamerSettings(DreamSettings):
    """Settings of `dreamer.Dreamer`."""

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the layers of actor and critic."""
    gamma: float = 0.99
    """Discount a step of 0.1 s; with the original's 0.997 a critic needs several times as many updates."""
    lam: float = 0.95
    """Of lambda-returns."""
    entropy: float = 3e-4
    """Weight of the actor's entropy."""
    spread: Spread = field(default_factory=Spread)
    """Of targets or actions."""
    hold: int = 1
    """Steps for which the noise of the actor is held; more makes what is tried out last longer, and cost more."""
    learning_rate: float = 3e-4
    """Of Adam; the original's 4e-5 is for runs a hundred times as long."""
    warmup: int = 20
    """Updates over which the learning rate rises."""
    minibatches: int = 16
    """Parts of an update's steps; each gives a gradient step."""
    passes: int = 1
    """Times that an update's steps are gone through."""
    trust: float = 0.2
    """How far the probability of what was done may have moved since, relatively, for a step to move it on in the same
    direction: without such a bound several gradient steps run away (PPO, arXiv 1707.06347)."""
    clip: float = 0.3
    """Most that a gradient's norm may be of its parameter's."""
    slow_rate: float = 0.02
    """Share of the way that the slow critic goes towards the critic in a gradient step."""
    slow_weight: float = 0.1
    """Of the loss that holds the critic to its slow copy; with the original's 1 values are learned several times as
    slowly."""
    average: float = 9.0
    """Power of a gradient step's number by which it counts in the average of the actor's weights that drives: about the
    last tenth of them; with 1e9 the newest ones drive."""
    scale_rate: float = 0.1
    """Share of the newest update in the range of returns; the original's 0.01 lags behind in a short run."""
    conservatism: float = 0.0
    """Weight of what values of imagined states are above those of recorded ones, which the critic is then to bring
    down (COMBO, arXiv 2102.08363, eq. 4, for a critic of states); needs episodes (--data)."""
    dtype: str = "bfloat16"
    """Of large matrix products, of the world model's as of actor and critic; float32 takes longer where the processor
    has avx512_bf16, and less where it has not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, hold=1, warmup=1, minibatches=1, passes=1, average=0, conservatism=0)
        check_shares(self, "gamma", "lam", "slow_rate", "scale_rate")
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)
