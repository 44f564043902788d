"""Settings of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


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
class TrainConfig:
    """What a run is; stored in its folder, so that a resumed run is the same run."""

    model: str = "rssm-small"
    """Architecture: rssm-tiny, rssm-small or rssm-base."""
    start: str = ""
    """Checkpoint whose weights to begin with, such as bev-rssm, ./mine or hf://owner/name. Empty: begin anew."""
    steps: int = 6000
    """Optimiser steps in all."""
    batch_size: int = 16
    """Windows a step, over all processes."""
    path_batch: int = 512
    """Windows a step for the ego's own motion, which needs no pictures."""
    path_steps: int = 28000
    """Further steps in the end for the ego's own motion alone."""
    agent_batch: int = 96
    """Windows a step for the motion of others alone."""
    agent_steps: int = 8000
    """Further steps in the end for the motion of others alone."""
    head_windows: int = 8192
    """Windows whose futures the finished model imagines for its heads to learn from: of reward, events and doubt."""
    head_steps: int = 2000
    """Further steps in the end for these heads alone."""
    horizon: int = 25
    """Steps imagined after the five of the context, in a window."""
    path_horizon: int = 40
    """The same for the ego's own motion."""
    learning_rate: float = 8e-4
    """Of AdamW, after the warm-up; it falls to a twentieth along a cosine."""
    path_learning_rate: float = 2e-3
    """The same for the ego's own motion: its network is small."""
    agent_learning_rate: float = 3e-3
    """The same for the motion of others, in the end."""
    head_learning_rate: float = 5e-4
    """The same for the heads, in the end."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    weight_decay: float = 1e-3
    clip_norm: float = 300.0
    """Gradients are scaled down to this norm."""
    seed: int = 0
    bf16: bool = True
    """Matrix products in bfloat16."""
    loss: LossConfig = field(default_factory=LossConfig)

    def check_resumes(self, stored: dict[str, Any], folder: Path) -> None:
        """Raise `ValueError` naming the first setting that differs from the run in `folder`; `steps` may grow."""
        mine = asdict(self)
        for f in fields(self):
            # JSON knows no tuples.
            value, old = mine[f.name], stored.get(f.name)
            if isinstance(value, dict):
                value = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
            if value != old and f.name != "steps":
                raise ValueError(
                    f"{folder} holds a run with {f.name}={old!r}, this one has {value!r}: "
                    "give the same settings to go on with it, or another --out"
                )
