"""A world model that can be disturbed, row by row, and that tells what it said last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from learned_sim_env.harness.engine.job import CRASHES
from learned_sim_env.task import EVENTS
from learned_sim_env.world_model.layers import one_hot
from learned_sim_env.world_model.protocol import LatentModel, Observation, State

# What can be set, in the state, of every row: how far the recurrent state h is pushed at random in every step, of its
# own spread; and the chance that a categorical latent is replaced by one that is drawn evenly.
PUSH, FLIP = "push", "flip"
SETTINGS = (PUSH, FLIP)


class PerturbedModel:
    """A world model around another one, which is a `LatentModel` as well.

    How much a row is disturbed is part of its state, and the noise for that comes from further columns of the row's
    uniforms: what the model itself draws stays the same, and a state carries all that its future depends on.

    Attributes:
        risk: (B,) float32 probability of a crash, a collision or leaving the road, in the step that was decoded last.

    Raises:
        ValueError: if the model has no recurrent state h and categorical latents z, see `protocol.LatentModel`.
    """

    static_graph = False

    def __init__(self, model: Any):
        state = model.initial(1)
        self.model, self.contract = model, model.contract
        self.observes, self.draws, self.context_steps = model.observes, model.draws, model.context_steps
        self.latent_size = model.latent_size
        if not isinstance(model, LatentModel):
            raise ValueError(
                f"{type(model).__name__} cannot be disturbed: it needs a recurrent state 'h', latents 'z', and "
                "`latent_groups`, which says how many categorical latents 'z' consists of"
            )
        self.latent_groups = self._groups, self._classes = model.latent_groups
        self._hidden = state["h"].shape[-1]
        self.noise_size = model.noise_size + self._hidden + 2 * self._groups
        self.risk: Tensor = torch.zeros(0)

    def initial(self, batch_size: int) -> State:
        """As of the model, disturbed by nothing."""
        state = self.model.initial(batch_size)
        zero = torch.zeros(batch_size, device=state["h"].device)
        return {**state, **{name: zero.clone() for name in SETTINGS}}

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """As of the model: what is seen is not disturbed."""
        inner, settings = _parted(state)
        return {**self.model.observe(inner, action, observation), **settings}

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """As of the model, then disturbed; without noise there is nothing to disturb by."""
        inner, settings = _parted(state)
        if noise is None:
            return {**self.model.imagine(inner, action, None, temperature), **settings}
        own, pushes, chosen, drawn = noise.split(
            [self.model.noise_size, self._hidden, self._groups, self._groups], dim=1
        )
        after = self.model.imagine(inner, action, own, temperature)
        push, flip = settings[PUSH][:, None], settings[FLIP][:, None]
        if bool((push > 0).any()):
            normal = torch.erfinv((2 * pushes - 1).clamp(-0.999999, 0.999999)) * 2**0.5
            h = after["h"]
            after = {**after, "h": torch.where(push > 0, h + push * h.std(-1, keepdim=True) * normal, h)}
        if bool((flip > 0).any()):
            z = after["z"].unflatten(-1, (self._groups, self._classes))
            others = one_hot((drawn * self._classes).long().clamp_max(self._classes - 1), self._classes, z.dtype)
            after = {**after, "z": torch.where((chosen < flip)[..., None], others, z).flatten(1)}
        return {**after, **settings}

    def in_bfloat16(self) -> PerturbedModel:
        """The same around the model's copy."""
        return PerturbedModel(self.model.in_bfloat16())

    def features(self, state: State) -> Tensor:
        """As of the model."""
        return self.model.features(_parted(state)[0])

    def decode(self, state: State) -> dict[str, Tensor]:
        """As of the model."""
        heads = self.model.decode(_parted(state)[0])
        well = 1 - heads["events"][:, [EVENTS.index(name) for name in CRASHES]]
        self.risk = 1 - well.prod(-1)
        return heads

    def draw(self, state: State, names: Sequence[str]) -> tuple[Observation, State]:
        """As of the model."""
        inner, settings = _parted(state)
        drawn, after = self.model.draw(inner, names)
        return drawn, {**after, **settings}


def _parted(state: State) -> tuple[State, State]:
    """What is the model's, and what is ours."""
    return {n: v for n, v in state.items() if n not in SETTINGS}, {n: state[n] for n in SETTINGS}
