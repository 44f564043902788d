"""The interface of a world model that can be driven in, and optional extensions.

Everything about time lives in a `State`; the module itself holds none. Rows of a batch never influence each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from learned_sim_env.spec import Contract

# Tensors by name, batch first, so that slicing, snapshot and restore are indexing. Names, dtypes, shapes (but for the
# batch) and device are those of `WorldModel.initial`. No two tensors, and no two rows, of a state share memory, because
# rows are written in place; a method may hand on tensors of the state it was given.
State = dict[str, torch.Tensor]

# By the name of a modality: (B, *shape) of its dtype, see `spec.Modality`.
Observation = dict[str, torch.Tensor]


class WorldModel(Protocol):
    """A trained model of the contract's clock: one call of `imagine` is one step of `contract.dt` seconds."""

    @property
    def contract(self) -> Contract:
        """What it was trained for."""
        ...

    @property
    def observes(self) -> tuple[str, ...]:
        """Modalities that `observe` needs; "ego" is among them."""
        ...

    @property
    def draws(self) -> tuple[str, ...]:
        """Modalities that `draw` can give; "ego" is given by `decode`."""
        ...

    @property
    def context_steps(self) -> int:
        """Real moments that are observed before a dream begins."""
        ...

    @property
    def latent_size(self) -> int:
        """Width of `features`."""
        ...

    @property
    def noise_size(self) -> int:
        """Uniforms that one row needs for one step."""
        ...

    @property
    def static_graph(self) -> bool:
        """Whether `imagine` and `decode` of a frozen model run the same operations whatever the values of their
        arguments, so that they can be recorded and played back.
        """
        ...

    def initial(self, batch_size: int) -> State:
        """The state before anything was observed, the same in every row, on the model's device."""
        ...

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """Posterior: take in a real observation.

        Args:
            state: before the observation.
            action: (B, 2) float32 `[steer, throttle_brake]` in [-1, 1] that led from the previous observation to this.
            observation: of B rows, with all modalities of `observes`; others are ignored.

        Returns:
            The state after it. No chance is involved.
        """
        ...

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """Prior: advance one clock step without seeing.

        Args:
            state: before the step.
            action: (B, 2) float32 in [-1, 1], held during the step.
            noise: (B, noise_size) float32 uniforms in [0, 1), the only source of chance; None takes the mode.
            temperature: > 0; below 1 the likely becomes likelier. Without effect where `noise` is None.

        Returns:
            The state after it, which does not depend on whether `draw` was called before.
        """
        ...

    def in_bfloat16(self) -> WorldModel:
        """A copy whose large matrix products run in bfloat16; states keep their dtypes."""
        ...

    def features(self, state: State) -> Tensor:
        """(B, latent_size) float32: a flat summary for policies, independent of pictures."""
        ...

    def decode(self, state: State) -> dict[str, Tensor]:
        """Outputs of the heads that are cheap; all float32, none dependent on pictures.

        Returns:
            "ego": (B, 6), see `spec.EGO_FIELDS`.
            "motion": (B, 3), of the step that led here, in the ego frame before it, see `spec.MOTION_FIELDS`.
            "terms": (B, 4), the graded reward terms of that step, weighted, see `task.GRADED_TERMS`.
            "events": (B, 4), probabilities of `task.EVENTS` at that step.
            "uncertainty": (B,), 0 or more: how wrong the model expects to be about the state.
            "features": (B, latent_size), as `features` gives them.
        """
        ...

    def draw(self, state: State, names: Sequence[str]) -> tuple[Observation, State]:
        """The modalities `names`, all of them in `draws`, and the state that remembers what was newly imagined.

        Returns:
            Each modality (B, *shape) of its dtype, and the state. Drawing that state again gives the same.
        """
        ...


@runtime_checkable
class LatentModel(WorldModel, Protocol):
    """A world model with a recurrent state "h" (B, hidden) and categorical latents "z" (B, groups * classes)."""

    @property
    def latent_groups(self) -> tuple[int, int]:
        """How many categorical latents "z" consists of, side by side, and how many classes each has, one-hot."""
        ...


@runtime_checkable
class MovableEgo(WorldModel, Protocol):
    """A world model whose state has the ego's pose, so that the ego can be put elsewhere."""

    def at(self, state: State, pose: Tensor) -> State:
        """The same world with the ego at `pose` (B, 3) x, y, heading in its frame at the last real observation."""
        ...


@runtime_checkable
class MapModel(WorldModel, Protocol):
    """A world model that remembers a map of the ground, which moves with the ego's pose."""

    def seen_places(self, state: State) -> Tensor:
        """(B, H, W) bool: under which pixels of the view from above the map was really observed, not imagined."""
        ...


@runtime_checkable
class RoadModel(WorldModel, Protocol):
    """A world model that may imagine road, not only pictures of it, where nothing was seen yet."""

    @property
    def tells_imagined_road(self) -> bool:
        """Whether `features` tell of such road: then they still say what lies around the ego when, in a long dream, it
        has left what was really seen.
        """
        ...


@runtime_checkable
class CompactState(WorldModel, Protocol):
    """A world model whose large states can be restored from less, such as one with a cache of keys and values."""

    def compact(self, state: State) -> State:
        """What `expand` needs to restore a state: the part that snapshots and tapes keep."""
        ...

    def expand(self, compact: State) -> State:
        """The state that `compact` was given, or one near it; always the same, so that futures repeat bit for bit."""
        ...


@runtime_checkable
class FrameCoder(WorldModel, Protocol):
    """A world model that codes a frame in a few numbers and draws it from them, which can be judged by itself."""

    @property
    def code_sizes(self) -> dict[str, int]:
        """Numbers of a frame's code, by the modality that they stand for."""
        ...

    def code(self, observations: Observation) -> Tensor:
        """(B, T, numbers) float32 in [-1, 1], as they are kept, of T successive frames.

        observations: of all modalities of `code_sizes`, (B, T, *shape).
        """
        ...

    def drawn_from(self, code: Tensor, names: Sequence[str]) -> Observation:
        """The modalities `names`, each (B, *shape) of its dtype, from a code (B, numbers)."""
        ...


@runtime_checkable
class ScenePainter(WorldModel, Protocol):
    """A world model that draws cameras from a scene that it is told, so that its drawing can be judged by itself.

    Scenes are tensors by name, of B rows: "pose" (B, 3) float32 of the ego in the frame of the last real observation;
    "ground" (B, H, W) uint8, what stands still in the view from above; "agent_pose" (B, K, 3) float32 in the ego frame,
    "agent_size" (B, K, 2) float32 and "agent_class" (B, K) uint8, 0 where there is none, of other road users, the
    nearest first; where it is known, of what stands beside the road, the nearest first, "scenery_pose" (B, S, 3)
    float32 in the ego frame, "scenery_size" (B, S, 3) float32 and "scenery_kind" (B, S) uint8, see `spec.SceneryKind`;
    others that belong to the kind of model.
    """

    def paint(self, state: State, then: Observation, now: Observation, names: Sequence[str]) -> Observation:
        """Cameras `names` as the model would draw them if everything in the scene were as it truly is.

        Args:
            state: after the last real observation, for what pictures of it are remembered by.
            then, now: scenes of that moment and of the one to draw; a road user has the same place in both.
        """
        ...


def compact(model: WorldModel, state: State) -> State:
    """The part of a state that is kept; see `CompactState`."""
    return model.compact(state) if isinstance(model, CompactState) else state


def expand(model: WorldModel, kept: State) -> State:
    """The state that `compact` reduced to `kept`."""
    return model.expand(kept) if isinstance(model, CompactState) else kept


def device_of(model: WorldModel) -> torch.device:
    """Where its states are."""
    return next(iter(model.initial(1).values())).device


def warmed_up(model: WorldModel, observations: Mapping[str, Tensor], actions: Tensor) -> State:
    """The state after T real moments.

    Args:
        model: a world model.
        observations: (B, T, *shape) of every modality that the model observes.
        actions: (B, T, 2) float32; action t led to moment t.
    """
    state = model.initial(len(actions))
    for t in range(actions.shape[1]):
        state = model.observe(state, actions[:, t], {name: observations[name][:, t] for name in model.observes})
    return state
