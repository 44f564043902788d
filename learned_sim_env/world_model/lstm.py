"""A plain world model in one file, convolutions around an LSTM: an example to start from.

An encoder for each modality that is observed, a long short-term memory (Hochreiter & Schmidhuber 1997) with the action
as input, a latent with a prior (before the observation) and a posterior (after it) as in DreamerV2 (arXiv 2010.02193),
a decoder for each modality that is drawn, and heads. Nothing in it is specific to driving: it is the baseline for
models that are.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from learned_sim_env.spec import NUM_CLASSES, Contract, Modality
from learned_sim_env.task import EVENTS, UNCERTAIN_TERMS, steering_term
from learned_sim_env.world_model.layers import MLP, Linear, as_dtype, drawn, logistic, one_hot, tempered
from learned_sim_env.world_model.protocol import Observation, State

# Components of the ego vector and of the motion that are predicted; the rest of the ego vector is the action.
EGO, MOTION = 4, 3
# [m/s, rad/s, m, rad] and [m, m, rad]: units of the networks.
EGO_SCALE, MOTION_SCALE = (10.0, 0.5, 2.0, 0.2), (1.0, 0.1, 0.05)
# Share of the uniform distribution that is mixed into the latent's, so that nothing is impossible.
UNIMIX = 0.01
# Pictures are halved until this is left of their smaller side.
SMALLEST = 4


@dataclass(frozen=True)
class LSTMConfig:
    """Architecture of `DrivingLSTM`, as in a checkpoint's `config.json`."""

    observes: tuple[str, ...] = ("bev", "ego")
    draws: tuple[str, ...] = ("bev",)
    context_steps: int = 5
    hidden: int = 256  # width of the LSTM
    groups: int = 16  # categorical latents ...
    classes: int = 16  # ... of this many classes
    channels: int = 16  # of the first convolution; each further one has twice as many
    embedding: int = 256  # width of an encoded modality


SIZES = {
    "lstm-tiny": LSTMConfig(hidden=32, groups=4, channels=4, embedding=32),
    "lstm-small": LSTMConfig(),
    "lstm-camera-tiny": LSTMConfig(
        ("front", "route", "ego"), ("front", "route"), hidden=32, groups=4, channels=4, embedding=32
    ),
}


class PictureEncoder(nn.Sequential):
    """A picture as a vector: each convolution halves it."""

    def __init__(self, modality: Modality, channels: int, size: int):
        widths = [_depth(modality), *_widths(modality, channels)]
        convolutions = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)]
        inner = math.prod(_innermost(modality)) * widths[-1]
        super().__init__(*(m for c in convolutions for m in (c, nn.SiLU())), nn.Flatten(), Linear(inner, size))
        self.kind = modality.kind

    def forward(self, picture: Tensor) -> Tensor:
        """Class ids (B, H, W) uint8 or colours (B, H, W, 3) to (B, size)."""
        dtype = cast(nn.Conv2d, self[0]).weight.dtype
        x = one_hot(picture, NUM_CLASSES, dtype) if self.kind == "classes" else picture.to(dtype)
        return super().forward(x.movedim(-1, 1))


class PictureDecoder(nn.Sequential):
    """The reverse: each convolution doubles the picture."""

    def __init__(self, modality: Modality, channels: int, size: int):
        widths = [*reversed(_widths(modality, channels)), _depth(modality)]
        convolutions = [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)]
        inner = _innermost(modality)
        unflatten = nn.Unflatten(1, (widths[0], *inner))
        super().__init__(
            Linear(size, math.prod(inner) * widths[0]), unflatten, *(m for c in convolutions for m in (nn.SiLU(), c))
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, size) to (B, H, W, classes or 3) float32: logits, or colours around 0."""
        pictures = super().forward(as_dtype(features, cast(nn.Linear, self[0]).weight.dtype))
        return as_dtype(pictures, torch.float32).movedim(1, -1)


class LSTMCell(nn.Module):
    """One step; unlike `nn.LSTMCell` it computes each row the same to the bit whatever the other rows are."""

    def __init__(self, size: int, hidden: int):
        super().__init__()
        self.gates = Linear(size + hidden, 4 * hidden)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Input (B, size), h and c (B, hidden) float32 to the next h and c."""
        joined = as_dtype(torch.cat([x, h], -1), self.gates.weight.dtype)
        take, forget, show, candidate = as_dtype(self.gates(joined), torch.float32).chunk(4, -1)
        # A forget gate that is open at first lets gradients through (Jozefowicz et al. 2015).
        c = torch.sigmoid(forget + 1) * c + torch.sigmoid(take) * _tanh(candidate)
        return torch.sigmoid(show) * _tanh(c), c


class DrivingLSTM(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`.

    A state is h and c, the LSTM's (B, hidden); z (B, groups * classes), one-hot in each group; the last two actions
    (B, 2, 2); and the surprise (B,) [nats] that the prior expects of the next observation.
    `imagine` and `decode` give the same bits for a row whatever the other rows are. `observe` and `draw` nearly do: a
    CPU may round a convolution of another number of pictures differently.
    """

    about = "A plain world model of driving: convolutions around an LSTM with a categorical latent."
    config_class = LSTMConfig
    sizes: ClassVar[dict[str, LSTMConfig]] = SIZES

    def __init__(self, config: LSTMConfig, contract: Contract):
        super().__init__()
        self.config, self.contract = config, contract
        self.observes, self.draws, self.context_steps = config.observes, config.draws, config.context_steps
        hidden, size, channels = config.hidden, config.embedding, config.channels
        z, self.noise_size = config.groups * config.classes, config.groups
        self.latent_size = hidden + z
        self.encoders, self.decoders = nn.ModuleDict(), nn.ModuleDict()
        for modality in map(contract.modality, config.observes):
            self.encoders[modality.name] = (
                nn.Sequential(nn.Flatten(), MLP(math.prod(modality.shape), (size,), size))
                if modality.kind == "vector"
                else PictureEncoder(modality, channels, size)
            )
        for modality in map(contract.modality, config.draws):
            self.decoders[modality.name] = (
                MLP(self.latent_size, (size,), math.prod(modality.shape))
                if modality.kind == "vector"
                else PictureDecoder(modality, channels, self.latent_size)
            )
        self.cell = LSTMCell(z + 2, hidden)
        self.prior = MLP(hidden, (hidden,), z + 1)
        self.posterior = MLP(hidden + size * len(self.encoders), (hidden,), z)
        self.heads = MLP(self.latent_size, (hidden,), EGO + MOTION + len(UNCERTAIN_TERMS) + len(EVENTS))
        # Events are rare: start from there.
        nn.init.constant_(self.heads.output.bias[-len(EVENTS) :], -4.0)
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(EGO_SCALE + MOTION_SCALE), persistent=False)

    @property
    def static_graph(self) -> bool:
        """No branch depends on values."""
        return True

    def in_bfloat16(self) -> DrivingLSTM:
        """A copy whose weights are bfloat16, and with them its products; states stay float32."""
        model = copy.deepcopy(self)
        for parameter in model.parameters():
            parameter.data = parameter.data.bfloat16()
        return model

    def initial(self, batch_size: int) -> State:
        """Zeros."""
        hidden, z = self.config.hidden, self.config.groups * self.config.classes
        shapes = {"h": (hidden,), "c": (hidden,), "z": (z,), "actions": (2, 2), "surprise": ()}
        return {name: torch.zeros(batch_size, *shape, device=self.scale.device) for name, shape in shapes.items()}

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """The posterior's mode."""
        return self.observe_with_beliefs(state, action, self.embed(observation), None)[0]

    def embed(self, observation: Observation) -> Tensor:
        """(B, E): what is observed, encoded."""
        counted = {name: self.as_counted(name, observation[name]) for name in self.observes}
        return torch.cat([as_dtype(self.encoders[name](x), torch.float32) for name, x in counted.items()], -1)

    def as_counted(self, name: str, values: Tensor) -> Tensor:
        """A modality as networks see it: class ids, colours from -0.5 to 0.5, vectors in tenths of their bounds."""
        modality = self.contract.modality(name)
        if modality.kind == "classes":
            return values
        return values / 255 - 0.5 if modality.kind == "rgb" else values * 10 / values.new_tensor(modality.bounds)

    def observe_with_beliefs(
        self, state: State, action: Tensor, embedding: Tensor, noise: Tensor | None
    ) -> tuple[State, Tensor, Tensor]:
        """`observe` with an encoded observation, and the probabilities (B, groups, classes) of prior and posterior."""
        state, prior = self._advance(state, action)
        posterior = self._probabilities(self.posterior(torch.cat([state["h"], embedding], -1)))
        return {**state, "z": self._sample(posterior, noise)}, prior, posterior

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """A sample of the prior; `noise` (B, groups) in [0, 1), None takes the mode."""
        state, prior = self._advance(state, action)
        return {**state, "z": self._sample(prior, noise, temperature)}

    def features(self, state: State) -> Tensor:
        """(B, latent_size): h and z."""
        return torch.cat([state["h"], state["z"]], -1)

    def decode(self, state: State) -> dict[str, Tensor]:
        """Outputs of the heads; "uncertainty" is the surprise."""
        features, (before, action) = self.features(state), state["actions"].unbind(1)
        numbers, terms, events = self.predict(features)
        speed_and_turn, place, motion = (numbers * self.scale).split([2, EGO - 2, MOTION], -1)
        steering = steering_term(action[:, :1] - before[:, :1], self.contract.reward)
        return {
            "ego": torch.cat([speed_and_turn, action, place], -1),
            "motion": motion,
            "terms": torch.cat([terms, steering], -1),
            "events": logistic(events),
            "uncertainty": state["surprise"].relu(),
            "features": features,
        }

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From (B, latent_size): ego and motion in `scale` (B, 7), uncertain terms (B, 3), logits of events (B, 4)."""
        widths = [EGO + MOTION, len(UNCERTAIN_TERMS), len(EVENTS)]
        numbers, terms, events = as_dtype(self.heads(features), torch.float32).split(widths, -1)
        return numbers, terms, events

    def draw(self, state: State, names: Sequence[str]) -> tuple[Observation, State]:
        """The likeliest classes, the mean of colours and vectors; nothing of it is remembered."""
        shown: Observation = {}
        for name in names:
            modality, values = self.contract.modality(name), self.reconstruct(name, self.features(state))
            if modality.kind == "classes":
                shown[name] = values.argmax(-1).to(torch.uint8)
            elif modality.kind == "rgb":
                shown[name] = ((values + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)
            else:
                shown[name] = values.clamp(-10, 10) * values.new_tensor(modality.bounds) / 10
        return shown, state

    def reconstruct(self, name: str, features: Tensor) -> Tensor:
        """A modality as its decoder gives it, float32: (B, H, W, classes) logits, or (B, *shape) as `as_counted`."""
        values = as_dtype(self.decoders[name](features), torch.float32)
        return values.view(-1, *self.contract.modality(name).shape) if values.dim() == 2 else values

    def _advance(self, state: State, action: Tensor) -> tuple[State, Tensor]:
        """The state after a step, z not yet known, and the prior's probabilities of it."""
        h, c = self.cell(torch.cat([state["z"], action], -1), state["h"], state["c"])
        foreseen = as_dtype(self.prior(h), torch.float32)
        actions = torch.stack([state["actions"][:, 1], action], 1)
        new = {**state, "h": h, "c": c, "actions": actions, "surprise": foreseen[:, -1]}
        return new, self._probabilities(foreseen[:, :-1])

    def _probabilities(self, logits: Tensor) -> Tensor:
        shape = (self.config.groups, self.config.classes)
        likely = as_dtype(logits, torch.float32).unflatten(-1, shape).softmax(-1)
        return (1 - UNIMIX) * likely + UNIMIX / self.config.classes

    def _sample(self, probabilities: Tensor, noise: Tensor | None, temperature: float = 1.0) -> Tensor:
        """One-hot z (B, groups * classes), where the distribution function reaches `noise`; None: the likeliest."""
        if noise is None or temperature == 0:
            index = probabilities.argmax(-1)
        else:
            index = drawn(tempered(probabilities, temperature), noise)
        z = one_hot(index, self.config.classes, torch.float32)
        # Straight-through gradients (Bengio et al. 2013).
        z = z + probabilities - probabilities.detach() if torch.is_grad_enabled() else z
        return z.flatten(-2)


def _depth(modality: Modality) -> int:
    return NUM_CLASSES if modality.kind == "classes" else 3


def _widths(modality: Modality, channels: int) -> list[int]:
    """Channels after each convolution of a picture."""
    return [channels * 2**i for i in range(int(math.log2(min(modality.shape[:2]) / SMALLEST)))]


def _innermost(modality: Modality) -> tuple[int, int]:
    """Height and width of a picture after all convolutions; `ValueError` if it cannot be halved as often."""
    divisor = 2 ** len(_widths(modality, 1))
    height, width = modality.shape[:2]
    if height % divisor or width % divisor:
        raise ValueError(f"a picture of {height} x {width} cannot be halved evenly: give multiples of {divisor}")
    return height // divisor, width // divisor


def _tanh(x: Tensor) -> Tensor:
    # As in `layers.GRUCell`: five times as fast on a CPU.
    return 2 * torch.sigmoid(2 * x) - 1
