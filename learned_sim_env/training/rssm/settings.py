"""Settings of the RSSM's training: weights of its losses, and what is fine-tuned after the last step."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss, and how the imagined pictures are trained."""

    # Pictures are averaged over pixels, not summed: with more weight than this the latents would carry nothing.
    kl: float = 0.02
    kl_dynamics: float = 1.0
    kl_representation: float = 0.1
    motion: float = 1.0
    route: float = 1.0
    terms: float = 1.0
    events: float = 5.0
    agents: float = 1.0
    detection: float = 1.0
    births: float = 0.5
    map: float = 15.0
    found: float = 1.0  # the route, in views
    guessed: float = 0.1  # how the route goes on
    doubt: float = 0.1
    route_noise: float = 0.004  # [rad] by which a chord of the route that the map is drawn along is turned
    known_weight: float = 0.05  # of pixels that are remembered anyway
    drawn_moments: int = 3  # imagined moments a window whose canvas is trained, besides the last observed one
    seen_moments: int = 2  # observed ones, drawn from the latent alone
    detected_moments: int = 5  # besides the last one of the context
    posterior_steps: int = 12  # moments after the context that are observed as well, for the latent's own loss
    blank: float = 0.1  # share of canvases decoded from the latent alone
    own: float = 0.5  # share of windows whose map goes on from what the model itself imagined, not from the truth
    reveal_steps: int = 8  # [steps] up to which moment before the drawn one the truth is known
    compose_every: int = 3  # [steps] between the views that make up the true map
    unseen: float = 0.3  # share of windows that are imagined as if the road ahead had not been seen ...
    seen_ahead: tuple[float, float] = (-5.0, 20.0)  # [m] ... farther than something between these
    true_agents: float = 0.75  # share of windows that start from true boxes rather than detected ones


@dataclass(frozen=True)
class RSSMSettings:
    """What an RSSM's run has beside `TrainConfig`."""

    path_batch: int = 512
    """Windows a step for the ego's own motion, which needs no pictures."""
    path_steps: int = 28000
    """Further steps in the end for the ego's own motion alone."""
    agent_batch: int = 96
    """Windows a step for the motion of others alone."""
    agent_steps: int = 8000
    """Further steps in the end for the motion of others alone."""
    roads: str = ""
    """File with pieces of road of which the finished model imagines roads, as `learned-sim build` makes it; none: road
    goes on as the map decoder guesses."""
    head_windows: int = 8192
    """Windows whose futures the finished model imagines for its heads to learn from: of reward, events and doubt."""
    head_drives: int = 256
    """With pieces of road, drives of half a minute in the finished model's dreams, for doubt where nothing can be
    compared with the truth any more."""
    head_steps: int = 2000
    """Further steps in the end for these heads alone."""
    path_horizon: int = 40
    """Steps after the context, in a window for the ego's own motion."""
    path_learning_rate: float = 2e-3
    """Learning rate of the ego's own motion: its network is small."""
    agent_learning_rate: float = 3e-3
    """The same for the motion of others, in the end."""
    head_learning_rate: float = 5e-4
    """The same for the heads, in the end."""
    loss: LossConfig = field(default_factory=LossConfig)
