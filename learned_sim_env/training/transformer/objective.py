"""What a run of the transformer trains: the tokenizer first, and then, with it frozen, dynamics and heads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.ego_path import fine_tune_path
from learned_sim_env.training.transformer.clips import Clips, ClipSampler
from learned_sim_env.training.transformer.dream_heads import fit_heads
from learned_sim_env.training.transformer.head_loss import clip_features, head_loss, told
from learned_sim_env.training.transformer.shortcut_loss import ForcingConfig, drawn_noise, shortcut_loss
from learned_sim_env.training.transformer.tokenizer_loss import tokenizer_loss
from learned_sim_env.world_model.transformer.model import DrivingTransformer

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class TransformerTraining:
    """Settings of a run, beside those of any other."""

    tokenizer_steps: int = 4000  # of the run's first steps, in which the tokenizer learns
    tokenizer_frames: int = 48  # moments a step, over all processes, while the tokenizer learns ...
    tokenizer_clip: int = 4  # ... in clips of so many; one step in three has single pictures
    frames: int = 192  # moments a step after that
    short: int = 12  # frames of a clip
    long: int = 32  # the same, of some: more than the window, so that a full one is known
    long_every: int = 4  # every how manieth step has long clips
    labelled: float = 1.0  # share of the episodes whose actions are known
    tokenizer_rate: float = 1e-3
    dynamics_rate: float = 6e-4
    head_batches: int = 40  # of dreamt clips, for the heads in the end
    head_clips: int = 32
    head_horizon: int = 25
    head_steps: int = 2000
    head_rate: float = 5e-4
    path_steps: int = 28000  # for the ego's own motion alone
    path_batch: int = 512
    path_horizon: int = 40
    path_learning_rate: float = 2e-3
    seed: int = 0
    terms: float = 0.01
    events: float = 0.01
    beside: float = 0.003
    forcing: ForcingConfig = field(default_factory=ForcingConfig)


@dataclass(frozen=True)
class Stage:
    """A batch, and whether it is for the tokenizer."""

    clips: Clips
    tokenizer: bool

    def to(self, device: torch.device | str) -> Stage:
        """The same on another device."""
        return replace(self, clips=self.clips.to(device))


class TransformerObjective(nn.Module):
    """Batches and losses of a run.

    Args:
        model: to be trained.
        data: all episodes; training and validation are split by seed.
        config: of the run.
    """

    def __init__(self, model: DrivingTransformer, data: PackedData, config: TransformerTraining):
        super().__init__()
        self.model, self.config = model, config
        names = model.config.modalities
        train, steps = data.split("train"), model.context_steps
        self.paths = WindowSampler(train, steps, config.path_horizon, model.contract.dt)
        model.ego_path.top_speed.fill_(self.paths.top_speed)
        self.samplers = {split: ClipSampler(data.split(split), names, config.labelled) for split in SPLITS}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Of the optimiser; the ego's path is trained by itself, in the end."""
        model, c = self.model, self.config
        dynamics = [*model.dynamics.parameters(), *model.heads.parameters()]
        return [
            {"params": list(model.tokenizer.parameters()), "peak": c.tokenizer_rate},
            {"params": dynamics, "peak": c.dynamics_rate},
        ]

    def batch(self, split: str, step: int, rank: int = 0, world: int = 1) -> Stage:
        """What `step` learns from, in one of `world` processes."""
        c, tokenizer = self.config, step < self.config.tokenizer_steps
        if tokenizer:
            total, frames = c.tokenizer_frames, 1 if step % 3 == 0 else c.tokenizer_clip
        else:
            total, frames = c.frames, c.long if step % c.long_every == 0 else c.short
        size = max(1, total // frames // world)
        return Stage(self.samplers[split].sample(size, frames, c.seed, step, rank), tokenizer)

    def loss(self, batch: Stage) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, and its parts for the log."""
        clips = batch.clips
        if batch.tokenizer:
            return tokenizer_loss(self.model.tokenizer, clips.observations, clips.valid)
        with torch.no_grad():
            clean = self.model.tokenizer.encode(clips.observations)
        return dynamics_loss(self.model, clean, clips, self.config)

    def forward(self, batch: Stage) -> tuple[Tensor, dict[str, Tensor]]:
        """See `loss`: data parallelism hooks into `forward`."""
        return self.loss(batch)

    def finish(self) -> None:
        """Train the ego's own motion, round the weights as a checkpoint keeps them, and fit the heads to what the model
        then dreams, all in place.
        """
        c, device = self.config, self.model.patterns.device
        frames = self.model.context_steps + c.head_horizon
        # Other clips than those of the steps before, and only such of which everything is known.
        sampler = ClipSampler(self.samplers["train"].data.select(self.samplers["train"].known), self.model.draws)

        def clips(k: int) -> Clips:
            return sampler.sample(c.head_clips, frames, c.seed + 1, k).to(device)

        fine_tune_path(self.model.ego_path, self.paths, c, c.seed)
        self.model.eval()
        self.model.load_state_dict(self.model.stored_weights())
        fit_heads(self.model, clips, c.head_batches, c.head_steps, c.head_rate, c.seed)


def dynamics_loss(
    model: DrivingTransformer, clean: Tensor, clips: Clips, config: TransformerTraining
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of dynamics and heads, and its parts.

    clean: (B, T, count, channels) tokens of the clips. Heads read agent tokens where they do in a dream: in clips whose
    frames are all as frames of the past are.
    """
    given, off = told(clips)
    noise = drawn_noise((len(clean), clean.shape[1]), model.config, config.forcing, clean.device)
    shortcut, said = shortcut_loss(model.dynamics, clean, given, clips.valid, noise, config.forcing.ramp)
    parts, total = {"shortcut": shortcut.detach()}, shortcut
    some = noise.past.nonzero()[:, 0]
    if len(some):
        part = clips.each(lambda x: x[some])
        features = clip_features(model, said.agents[some], part, type(given)(*(x[some] for x in given)))
        for name, value in head_loss(model, features, part, off[some]).items():
            total = total + getattr(config, name) * value
            parts[name] = value.detach()
    return total, parts
