"""What a run of the transformer trains: the tokenizer first, and then, with it frozen, dynamics and heads."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.batches import Batch, WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.ego_path import fine_tune_path
from learned_sim_env.training.objective import Finished, WindowObjective, new_model
from learned_sim_env.training.processes import Process
from learned_sim_env.training.transformer.clips import BEFORE, TOKENS, Clips, labelled_episodes, partly_labelled, video
from learned_sim_env.training.transformer.dream_heads import fit_heads
from learned_sim_env.training.transformer.head_loss import clip_features, head_loss, training_condition
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.training.transformer.shortcut_loss import drawn_noise, moving_weights, shortcut_loss
from learned_sim_env.training.transformer.token_store import TokenStore
from learned_sim_env.training.transformer.tokenizer_loss import token_weights, tokenizer_loss, unseen_patches
from learned_sim_env.world_model.transformer.dynamics import Condition
from learned_sim_env.world_model.transformer.model import DrivingTransformer, last_of_clips

# Share of the tokenizer's moments that show one modality alone, if there is video that lacks some: they are guessed.
ALONE = 0.1
# Where clips come from.
RECORDED, VIDEO = "recorded", "video"


@dataclass(frozen=True)
class StageBatch:
    """Clips, and which parts of the model learn from them."""

    clips: Clips
    tokenizer: bool
    dynamics: bool


class TransformerObjective(WindowObjective):
    """See `training.objective.Objective`."""

    settings_class = TransformerSettings
    shared: ClassVar[tuple[str, ...]] = ("batch_size", "tokenizer_batch")

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
        # By what they have; the tokenizer's stage reads pictures of them, the other one tokens.
        self._sources = {RECORDED: (self.data.split("train"), self.needs)}
        self._alone = 0.0
        if settings.unlabelled:
            modalities = self.model.config.modalities
            found, there = video(settings.unlabelled, self.model.contract, modalities)
            self._sources[VIDEO] = (found, there)
            self._alone = 0.0 if set(there) == set(modalities) else ALONE
        self._labelled = labelled_episodes(self.data.split("train"))
        steps, dt = self.model.context_steps, self.model.contract.dt
        self.paths = WindowSampler(self._labelled, steps, settings.path_horizon, dt)
        self.model.ego_path.top_speed.fill_(self.paths.top_speed)

    def new_model(self) -> DrivingTransformer:
        """Of the size that was asked for, with what of its configuration the settings say."""
        names = ("modalities", "prediction", "moved", "doubt_seeds", "doubt_cycle")
        return new_model(self.config, **{name: getattr(self.settings, name) for name in names})

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
        s, tokenizer = self.settings, step < self.settings.tokenizer_steps
        if tokenizer:
            single = step % 3 == 0
            size, moments = self.shares["tokenizer_batch"], s.tokenizer_clip
            if single:
                size, moments = size * moments, 1
        elif step % s.long_every:
            size, moments = self.shares["batch_size"], s.short
        else:
            size, moments = max(1, self.shares["batch_size"] * s.short // self._long), self._long
        plain = self._is_plain(step)
        samplers = (self._pictured if tokenizer else self._encoded)[VIDEO if plain else RECORDED]
        clips = self._clips(samplers[moments].sample(size, self.config.seed, step, self.process.rank))
        return StageBatch(clips, tokenizer, not tokenizer)

    def _is_plain(self, step: int) -> bool:
        """Whether all processes learn from plain video in this step."""
        s = self.settings
        there = VIDEO in self._sources
        if not there or 0 <= step - s.tokenizer_steps < s.unlabelled_steps:
            return there
        return bool(np.random.default_rng((self.config.seed, step, 11)).random() < s.unlabelled_share)

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
            tokenizer = self.model.tokenizer
            loss, found = tokenizer_loss(tokenizer, clips.observations, clips.valid, clips.seen, self._alone)
            total, parts = total + loss, {**parts, **found}
        if batch.dynamics:
            loss, found = dynamics_loss(self.model, *self._tokens(clips), clips, self.settings)
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
        fine_tune_path(model.ego_path, self.paths, s, seed, self.cache)
        model.load_state_dict(model.stored_weights())
        doubt = fit_heads(model, lambda k: self._clips(sampler.sample(s.head_batch, seed + 1, k)), s, seed)
        names = ("labelled", "tokenizer_steps", "path_steps", "head_batches", "head_steps")
        return Finished(model, {**{name: getattr(s, name) for name in names}, **doubt})

    @property
    def _long(self) -> int:
        """Moments of a long clip."""
        return self.model.context_steps + self.config.horizon

    @cached_property
    def _pictured(self) -> dict[str, dict[int, WindowSampler]]:
        """By source, samplers of what was observed."""
        return {name: self._samplers(*source) for name, source in self._sources.items()}

    @cached_property
    def _encoded(self) -> dict[str, dict[int, WindowSampler]]:
        """By source, samplers of tokens; not to be asked for before the tokenizer is frozen."""
        found = {}
        for name, (data, _) in self._sources.items():
            path = None if self.cache is None else self.cache / f"{name}-tokens"
            store = TokenStore(self.model, data, path, self.config.bf16)
            having = replace(data, frames={**data.frames, TOKENS: store})
            found[name] = self._samplers(having, (TOKENS,))
        return found

    def _tokens(self, clips: Clips) -> tuple[Tensor, Tensor]:
        """Of frames, (B, T, count, channels) float32, and of those before them, moved and as they were, twice as many
        channels; without gradient.
        """
        if TOKENS in clips.observations:
            return clips.observations[TOKENS].float(), clips.observations[BEFORE].float()
        with torch.no_grad():
            hidden = unseen_patches(self.model.tokenizer, clips.seen)
            tokens = self.model.tokenizer.encode(clips.observations, hidden)
            motion = torch.where(clips.known["ego"][..., None], clips.motion, 0)
            before = [self.model.moved_clips(tokens, motion), last_of_clips(tokens)]
            return tokens, torch.cat([x.float() for x in before], -1)

    def _samplers(self, data: PackedData, names: tuple[str, ...]) -> dict[int, WindowSampler]:
        """Samplers of clips, by the moments that they have."""
        lengths = {self.settings.short, self.settings.tokenizer_clip, 1, self._long}
        return {n: WindowSampler(data, 1, n - 1, self.model.contract.dt, names) for n in lengths}

    def _clips(self, batch: Batch) -> Clips:
        clips = Clips.of(batch, self.model.config.modalities, self.model.contract)
        return clips.each(lambda x: x.to(self.device))


def dynamics_loss(
    model: DrivingTransformer, clean: Tensor, before: Tensor, clips: Clips, settings: TransformerSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of dynamics and heads, and its parts.

    clean, before: (B, T, count, channels) tokens of the clips, and (B, T, count, 2 * channels) of the frames before,
    moved and as they were. Heads read agent tokens where they do in a dream: in clips whose frames are all as frames of
    the past are.
    """
    condition, offset = training_condition(clips)
    noise = drawn_noise((len(clean), clean.shape[1]), model.config, settings.forcing, clean.device)
    forcing, moved = settings.forcing, before[..., : model.config.channels]
    weights = moving_weights(clean, moved, clips.valid, forcing.moving)
    if clips.seen:
        weights = weights * token_weights(model.tokenizer, clips.seen)
    shortcut, output = shortcut_loss(
        model.dynamics, clean, before, condition, clips.valid, noise, forcing.ramp, weights
    )
    parts, total = {"shortcut": shortcut.detach()}, shortcut
    chosen = noise.past.nonzero()[:, 0]
    if len(chosen):
        part = clips.each(lambda x: x[chosen])
        features = clip_features(model, output.agents[chosen], part, Condition(*(x[chosen] for x in condition)))
        for name, value in head_loss(model, features, part, offset[chosen]).items():
            total = total + getattr(settings, name) * value
            parts[name] = value.detach()
    return total, parts
