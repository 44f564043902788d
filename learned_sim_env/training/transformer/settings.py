"""Settings of the transformer's training: its two stages, and what is fitted after the last step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from learned_sim_env.training.transformer.shortcut_loss import ForcingConfig


@dataclass(frozen=True)
class TransformerSettings:
    """What a transformer's run has beside `TrainConfig`.

    In the second stage `learning_rate` is that of dynamics and heads, `batch_size` counts short clips, and long clips
    have the context and `horizon` moments more; a step has about as many moments of either.
    """

    modalities: tuple[str, ...] = ()
    """What is observed and drawn, such as bev, or front left right; empty: all of the contract's modalities."""
    prediction: Literal["x", "v"] = "x"
    """What the dynamics give: clean tokens, or the direction towards them."""
    moved: bool = True
    """Move the frame before, which the next one begins with, as the ego has moved; else it is taken as it was."""
    doubt_seeds: int = 2
    """Samples of every dreamt frame whose spread is a sign of doubt, each a fifth of a frame's time; 0: none."""
    doubt_cycle: bool = True
    """Draw every dreamt frame and encode it again: what changes is a sign of doubt, at less than half a frame's time.
    """
    labelled: float = 1.0
    """Share of the training episodes whose actions, places and outcomes are used; the others are plain video."""
    unlabelled: str = ""
    """Folder of recordings of which nothing but pictures is used, such as films that `learned-sim import` has read.
    What they do not show of the modalities is guessed from what they do."""
    unlabelled_share: float = 0.5
    """Share of the steps that learn from them."""
    unlabelled_steps: int = 0
    """First steps of the dynamics that learn from them alone."""
    tokenizer_steps: int = 2000
    """First of the run's steps, in which the tokenizer learns; it is frozen in all later ones."""
    tokenizer_batch: int = 12
    """Clips a step while the tokenizer learns, over all processes."""
    tokenizer_clip: int = 4
    """Moments of such a clip; every third step has as many single moments instead."""
    tokenizer_learning_rate: float = 1e-3
    """Learning rate of the tokenizer."""
    short: int = 12
    """Moments of a short clip."""
    long_every: int = 4
    """Every so many steps, one has long clips: with more moments than the window, so that a full one occurs."""
    head_batches: int = 40
    """Batches of clips that the finished model dreams for its heads to learn from."""
    head_batch: int = 32
    """Clips of such a batch."""
    head_horizon: int = 25
    """Dreamt steps of such a clip."""
    head_steps: int = 2000
    """Further steps in the end for the heads alone: of reward, events, the place beside the route and doubt."""
    head_learning_rate: float = 5e-4
    """Learning rate of the heads, in the end."""
    path_steps: int = 28000
    """Further steps in the end for the ego's own motion alone."""
    path_batch: int = 512
    """Windows of such a step, which need no pictures."""
    path_horizon: int = 40
    """Steps after the context in such a window."""
    path_learning_rate: float = 2e-3
    """Learning rate of the ego's own motion: its network is small."""
    terms: float = 0.01
    """Weight of the reward terms, beside the loss of the dynamics."""
    events: float = 0.01
    """Weight of collisions and other events."""
    correction: float = 0.003
    """Weight of the place beside the route."""
    forcing: ForcingConfig = field(default_factory=ForcingConfig)
