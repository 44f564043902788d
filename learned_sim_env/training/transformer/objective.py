"""What a run of the transformer trains: the tokenizer first, and then, with it frozen, dynamics and heads."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.batches import Batch, WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.ego_path import fine_tune_path
from learned_sim_env.training.objective import Finished, WindowObjective, new_model
from learned_sim_env.training.processes import Process
from learned_sim_env.training.transformer.clips import Clips, labelled_episodes, partly_labelled
from learned_sim_env.training.transformer.dream_heads import fit_heads
from learned_sim_env.training.transformer.head_loss import clip_features, head_loss, training_condition
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.training.transformer.shortcut_loss import drawn_noise, shortcut_loss
from learned_sim_env.training.transformer.tokenizer_loss import tokenizer_loss
from learned_sim_env.world_model.transformer.dynamics import Condition
from learned_sim_env.world_model.transformer.model import DrivingTransformer


@dataclass(frozen=True)
class StageBatch:
    """Clips, and which parts of the model learn from them."""

    clips: Clips
    tokenizer: bool
    dynamics: bool


class TransformerObjective(WindowObjective):
    """See `training.objective.Objective`."""

    settings_class = TransformerSettings

    def __init__(
        self,
        config: TrainConfig,
        settings: TransformerSettings,
        data: PackedData,
        process: Process,
        device: torch.device,
    ):
        if not 0 < settings.tokenizer_steps < config.steps:
            raise ValueError(
                f"tokenizer_steps {settings.tokenizer_steps} are not between 0 and the {config.steps} steps of the "
                "run: the dynamics learn in those that are left"
            )
        super().__init__(config, settings, partly_labelled(data, settings.labelled), process, device)
        self._tokenized = process.share("tokenizer_batch", settings.tokenizer_batch)
        self._short, self._few, self._single = (
            self._clips_of(moments) for moments in (settings.short, settings.tokenizer_clip, 1)
        )
        self._labelled = labelled_episodes(self.data.split("train"))
        steps, dt = self.model.context_steps, self.model.contract.dt
        self.paths = WindowSampler(self._labelled, steps, settings.path_horizon, dt)
        self.model.ego_path.top_speed.fill_(self.paths.top_speed)

    def new_model(self) -> DrivingTransformer:
        """Of the size that was asked for, with modalities and prediction of the settings."""
        return new_model(self.config, modalities=self.settings.modalities, prediction=self.settings.prediction)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Tokenizer, and dynamics with heads, one after the other; the ego's path is trained by itself, in the end."""
        model, first = self.model, self.settings.tokenizer_steps
        return [
            {
                "params": list(model.tokenizer.parameters()),
                "peak": self.settings.tokenizer_learning_rate,
                "span": (0, first),
            },
            {
                "params": [*model.dynamics.parameters(), *model.heads.parameters()],
                "peak": self.config.learning_rate,
                "span": (first, self.config.steps),
            },
        ]

    def batch(self, step: int) -> StageBatch:
        """Clips of this step's stage."""
        s, key = self.settings, (self.config.seed, step, self.process.rank)
        if step < s.tokenizer_steps:
            if step % 3 == 0:
                batch = self._single.sample(self._tokenized * s.tokenizer_clip, *key)
            else:
                batch = self._few.sample(self._tokenized, *key)
            return StageBatch(self._clips(batch), tokenizer=True, dynamics=False)
        if step % s.long_every:
            return StageBatch(self._clips(self._short.sample(self.windows, *key)), tokenizer=False, dynamics=True)
        long = self.model.context_steps + self.config.horizon
        batch = self.train.sample(max(1, self.windows * s.short // long), *key)
        return StageBatch(self._clips(batch), tokenizer=False, dynamics=True)

    def validation_batches(self) -> Iterator[StageBatch]:
        """Long clips of unseen episodes, for both stages."""
        for batch in super().validation_batches():
            yield StageBatch(self._clips(batch), tokenizer=True, dynamics=True)

    def loss(self, batch: StageBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of those parts that learn from the batch."""
        clips = batch.clips
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        if batch.tokenizer:
            loss, found = tokenizer_loss(self.model.tokenizer, clips.observations, clips.valid)
            total, parts = total + loss, {**parts, **found}
        if batch.dynamics:
            with torch.no_grad():
                clean = self.model.tokenizer.encode(clips.observations)
            loss, found = dynamics_loss(self.model, clean, clips, self.settings)
            total, parts = total + loss, {**parts, **found}
        return total, parts

    def finish(self) -> Finished:
        """Train the ego's own motion, round the weights as a checkpoint keeps them, and fit the heads to what the model
        then dreams.
        """
        s, seed = self.settings, self.config.seed
        model = copy.deepcopy(self.model).eval()
        # Only episodes in which everything is known, and other clips than those of the steps before.
        steps, dt = model.context_steps, model.contract.dt
        sampler = WindowSampler(self._labelled, steps, s.head_horizon, dt, self.needs)
        fine_tune_path(model.ego_path, self.paths, s, seed)
        model.load_state_dict(model.stored_weights())
        fit_heads(model, lambda k: self._clips(sampler.sample(s.head_batch, seed + 1, k)), s, seed)
        names = ("labelled", "tokenizer_steps", "path_steps", "head_batches", "head_steps")
        return Finished(model, {name: getattr(s, name) for name in names})

    def _clips_of(self, moments: int) -> WindowSampler:
        """A sampler of training clips of so many moments."""
        return WindowSampler(self.data.split("train"), 1, moments - 1, self.model.contract.dt, self.needs)

    def _clips(self, batch: Batch) -> Clips:
        return Clips.of(batch, self.model.config.modalities).each(lambda x: x.to(self.device))


def dynamics_loss(
    model: DrivingTransformer, clean: Tensor, clips: Clips, settings: TransformerSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of dynamics and heads, and its parts.

    clean: (B, T, count, channels) tokens of the clips. Heads read agent tokens where they do in a dream: in clips whose
    frames are all as frames of the past are.
    """
    condition, offset = training_condition(clips)
    noise = drawn_noise((len(clean), clean.shape[1]), model.config, settings.forcing, clean.device)
    shortcut, output = shortcut_loss(model.dynamics, clean, condition, clips.valid, noise, settings.forcing.ramp)
    parts, total = {"shortcut": shortcut.detach()}, shortcut
    chosen = noise.past.nonzero()[:, 0]
    if len(chosen):
        part = clips.each(lambda x: x[chosen])
        features = clip_features(model, output.agents[chosen], part, Condition(*(x[chosen] for x in condition)))
        for name, value in head_loss(model, features, part, offset[chosen]).items():
            total = total + getattr(settings, name) * value
            parts[name] = value.detach()
    return total, parts
