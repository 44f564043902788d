"""The transformer: a causal tokenizer, and dynamics that denoise the next frame's tokens (Dreamer 4, arXiv 2509.24527).

What is observed becomes tokens (`tokenizer`), which `dynamics` knows the past of; the next frame's are dreamt from
noise in a few steps (`sampler`), and committed to the past once. Agent tokens read every frame that is committed, and
`heads` say what follows. The ego's own motion comes from the exact residual path that the RSSM has as well
(`EgoPath`). It is an input of the dynamics, and so is the frame before, drawn, moved by it (`moving`) and encoded.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from learned_sim_env.spec import Contract
from learned_sim_env.task import steering_term
from learned_sim_env.world_model.ego_path import ACTION_HISTORY, MOTION_HISTORY, EgoPath
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.transformer import ego as ego_numbers
from learned_sim_env.world_model.transformer.attention import remembered
from learned_sim_env.world_model.transformer.config import SIZES, TransformerConfig
from learned_sim_env.world_model.transformer.doubt import spread, unlike_itself
from learned_sim_env.world_model.transformer.dynamics import Condition, Dynamics, Past
from learned_sim_env.world_model.transformer.heads import SIGNALS, Doubt, Heads
from learned_sim_env.world_model.transformer.moving import Moving
from learned_sim_env.world_model.transformer.noise import PATTERNS, normals, patterns
from learned_sim_env.world_model.transformer.sampler import commit, mixed, sample_frame
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer

# Parts that never run in reduced precision: centimetres add up, or products are too small to gain from it.
EXACT = ("ego_path.", "heads.", "doubt.")
# Of a state, names of what is shown begin so.
SHOWN = "shown_"
# Numbers that heads read beside agent tokens, see `DrivingTransformer.facts`.
FACTS = ego_numbers.EGO_NUMBERS + 2 + 3 + 2


class DrivingTransformer(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`, and `protocol.CompactState`.

    Temperature 1 starts a frame from normal noise, t from t times that; without noise it starts from zeros, the
    likeliest noise, and all that follows is determined.

    Raises:
        ValueError: for a modality that the contract has not.
    """

    about = (
        "A transformer in the manner of Dreamer 4: a causal tokenizer of what is observed, and dynamics by shortcut "
        "forcing that denoise the tokens of the next frame."
    )
    config_class, sizes = TransformerConfig, SIZES

    def __init__(self, config: TransformerConfig, contract: Contract):
        super().__init__()
        names = config.modalities or tuple(m.name for m in contract.modalities if m.name != "ego")
        # As they were, whatever else the contract comes to have.
        config = dataclasses.replace(config, modalities=names)
        self.config, self.contract = config, contract
        modalities = [contract.modality(name) for name in names]
        self.tokenizer, self.moving = Tokenizer(modalities, config), Moving(modalities)
        self.dynamics = Dynamics(self.tokenizer.count, config)
        self.ego_path = EgoPath(contract.dt)
        self.latent_size = config.agents * config.width + FACTS
        self.heads = Heads(self.latent_size, config.head_hidden, config.ahead)
        self.doubt = Doubt(self.latent_size, config.head_hidden)
        # Part of what was learned: heads and states are what they are for this noise. That of frames, and that of those
        # before them, which are an input of theirs: from two mixtures of the same one could tell the truth.
        self.patterns: Tensor
        self.patterns_before: Tensor
        for k, name in enumerate(("patterns", "patterns_before")):
            size = (1 + k) * config.channels
            self.register_buffer(name, patterns(self.tokenizer.count, size, config.noise, seed=k))

    @property
    def observes(self) -> tuple[str, ...]:
        """What it needs to see."""
        return (*self.config.modalities, "ego")

    @property
    def draws(self) -> tuple[str, ...]:
        """What it can draw."""
        return self.config.modalities

    @property
    def context_steps(self) -> int:
        """Real moments before a dream."""
        return self.config.context_steps

    @property
    def static_graph(self) -> bool:
        """A model that is not being trained does the same at every step."""
        return not self.training

    @property
    def noise_size(self) -> int:
        """Uniforms a row needs a step: one for each number of the tokens."""
        return self.tokenizer.count * self.config.channels

    @property
    def history(self) -> int:
        """Frames from which all keys and values follow: those of a layer over time from those of the layer before."""
        return self.config.past * self.config.time_layers

    def in_bfloat16(self) -> DrivingTransformer:
        """A copy whose large matrix products run in bfloat16; states, and the ego's own motion, stay float32."""
        model = copy.deepcopy(self)
        for name, parameter in model.named_parameters():
            if not name.startswith(EXACT):
                parameter.data = parameter.data.bfloat16()
        return model

    def stored_weights(self) -> dict[str, Tensor]:
        """The state dict as a checkpoint keeps it: in float16, which is half the size, but for what has to be exact."""
        weights = self.state_dict()
        return {name: value if name.startswith(EXACT) else value.half() for name, value in weights.items()}

    def initial(self, batch_size: int) -> State:
        """The state before anything was seen."""
        device, c = self.patterns.device, self.config

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(batch_size, *shape, dtype=dtype, device=device)

        past = self.dynamics.empty_past(batch_size)
        size = c.tokenizer_width // c.tokenizer_heads
        encoder = (self.tokenizer.count, c.tokenizer_kv_heads, c.encoder_window - 1, size)
        return {
            "ego": zeros(6),
            "motions": zeros(MOTION_HISTORY, 3),
            "actions": zeros(ACTION_HISTORY, 2),
            "seen": zeros(dtype=torch.bool),
            "tokens": zeros(self.history + 1, self.tokenizer.count, c.channels, dtype=torch.float16),
            "moved": zeros(self.history, self.tokenizer.count, c.channels, dtype=torch.float16),
            "conditions": zeros(self.history, 2 + ego_numbers.EGO_NUMBERS),
            "agents": zeros(c.agents * c.width),
            "signals": zeros(SIGNALS),
            **past.in_state(),
            "encoded": zeros(dtype=torch.int64),
            "encoder_keys": zeros(*encoder),
            "encoder_values": zeros(*encoder),
            **{
                f"{SHOWN}{m.name}": zeros(*m.shape, dtype=torch.float32 if m.kind == "vector" else torch.uint8)
                for m in map(self.contract.modality, c.modalities)
            },
        }

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """Posterior: `action` (B, 2) led from the last observation to this one."""
        ego, encoded = observation["ego"].float(), state["encoded"]
        motions, actions = self.ego_path.observe(
            state["motions"], state["actions"], state["ego"][:, 0], action, ego, state["seen"]
        )
        rings = state["encoder_keys"], state["encoder_values"]
        tokens, *new = self.tokenizer.encode_next(observation, *rings, encoded)
        keys, values = (remembered(ring, part, encoded) for ring, part in zip(rings, new))
        seen = {
            "encoder_keys": keys,
            "encoder_values": values,
            "encoded": encoded + 1,
            "seen": torch.ones_like(state["seen"]),
            "signals": torch.zeros_like(state["signals"]),
        }
        tokens = tokens.half()
        shown = self.tokenizer.drawn(tokens, self.draws)
        # Before its first frame a row stood still.
        first = state["frames"] == 0
        before = {name: torch.where(_rows(first, new), new, state[SHOWN + name]) for name, new in shown.items()}
        last = self._last(state, tokens)
        moved = self.moved(last, before, torch.where(first[:, None], 0, motions[:, -1]))
        after = {**state, **seen, **_kept(shown), "motions": motions, "actions": actions, "ego": ego}
        return self._committed(after, tokens, moved)

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """Prior, one clock step; `noise` (B, noise_size) in [0, 1), None: zeros instead of normal noise."""
        motions, actions, speed = self.ego_path.imagine(state["motions"], state["actions"], state["ego"][:, 0], action)
        motion = motions[:, -1]
        turning = motion[:, 2] / self.contract.dt
        # As if the route were straight; a head corrects it.
        beside = ego_numbers.moved(state["ego"][:, 4:], motion)
        ego = torch.cat([torch.stack([speed, turning], -1), action, beside], -1)
        after = {**state, "motions": motions, "actions": actions, "ego": ego}
        deviation = temperature * self.config.noise
        shape = (len(action), self.tokenizer.count, self.config.channels)
        start = action.new_zeros(shape) if noise is None else normals(noise).view(shape) * deviation
        condition_tokens = self.dynamics.condition_tokens(self._condition(self._numbers(after)))
        past = self._past(state)
        last = state["tokens"][:, -1]
        moved = self.moved(last, self._shown(state), motion)
        veiled = self.veiled(moved, last, past)
        tokens = sample_frame(self.dynamics, start, veiled, condition_tokens, past, self.config.steps).half()
        shown = self.tokenizer.drawn(tokens, self.draws)
        # Frames that the encoder has not seen: what it goes on from is gone.
        after = {**after, **_kept(shown), "encoded": torch.zeros_like(state["encoded"])}
        after["signals"] = self._signals(tokens, last, shown, veiled, condition_tokens, past)
        after = self._committed(after, tokens, moved)
        correction = self.heads(self.features(after)).correction
        bound = self.contract.modality("ego").bounds[4]
        distance, error = (beside + correction).unbind(-1)
        beside = torch.stack([distance.clamp(-bound, bound), wrap(error)], -1)
        return {**after, "ego": torch.cat([ego[:, :4], beside], -1)}

    def features(self, state: State) -> Tensor:
        """(B, latent_size) float32: the agent tokens' output, and `facts`."""
        return torch.cat(
            [state["agents"], self.facts(state["conditions"][:, -1], state["motions"], state["actions"])], -1
        )

    def moved(self, tokens: Tensor, shown: Observation, motion: Tensor) -> Tensor:
        """Tokens (B, count, channels) float16 of frames as they would be if nothing but the ego moved.

        Args:
            tokens: (B, count, channels) of the frames.
            shown: what is drawn of them, all modalities; rather than what was real, as in a dream.
            motion: (B, 3) of the ego since; 0 where it is not known.
        """
        if not self.config.moved:
            return tokens.half()
        return self.tokenizer.encode_alone(self.moving(shown, motion)).half()

    def moved_clips(self, tokens: Tensor, motion: Tensor) -> Tensor:
        """(B, T, count, channels) float16: for each frame of clips the one before it, `moved`, as in a dream.

        Before its first frame a clip stood still.

        tokens: (B, T, count, channels). motion: (B, T, 3) that led to the frames; 0 where it is not known.
        """
        last = last_of_clips(tokens).flatten(0, 1)
        motion = torch.cat([torch.zeros_like(motion[:, :1]), motion[:, 1:]], 1).flatten(0, 1)
        shown = self.tokenizer.drawn(last, self.draws) if self.config.moved else {}
        return self.moved(last, shown, motion).view(tokens.shape)

    def veiled(self, moved: Tensor, last: Tensor, past: Past) -> Tensor:
        """(B, count, 2 * channels): what the dynamics are shown of the frame before in the one after `past`.

        moved, last: (B, count, channels), moved and as it was.
        """
        before = torch.cat([moved, last], -1).float()
        return mixed(before, self.patterns_before[past.frames % PATTERNS], self.config.context_share)

    def facts(self, condition: Tensor, motions: Tensor, actions: Tensor) -> Tensor:
        """(..., FACTS): a frame's condition (..., 9), and how motion and action have changed.

        motions: (..., M, 3), actions: (..., A, 2), the last ones.
        """
        changes = (motions[..., -1, :] - motions[..., -2, :]) / self.ego_path.scale * 10
        return torch.cat([condition, changes, actions[..., -1, :] - actions[..., -2, :]], -1)

    def decode(self, state: State) -> dict[str, Tensor]:
        """Ego vector, motion, reward terms, events' probabilities, uncertainty, and the features behind them."""
        features = self.features(state)
        outcomes = self.heads(features)
        steer = state["actions"][:, -2:, :1]
        steering = steering_term(steer[:, 1] - steer[:, 0], self.contract.reward)
        return {
            "ego": state["ego"],
            "motion": state["motions"][:, -1],
            "terms": torch.cat([self.heads.expected_terms(outcomes), steering], -1),
            "events": self.heads.probabilities(outcomes),
            # What was just seen is not doubted.
            "uncertainty": torch.where(state["encoded"] > 0, 0, self.doubt.uncertainty(features, state["signals"])),
            "features": features,
        }

    def draw(self, state: State, names: Sequence[str]) -> tuple[Observation, State]:
        """The modalities `names`, which the state keeps: the next frame begins with them."""
        return {name: state[SHOWN + name] for name in names}, state

    @property
    def code_sizes(self) -> dict[str, int]:
        """Numbers of a frame's tokens."""
        return {name: self.tokenizer.codec(name).cells * self.config.channels for name in self.tokenizer.names}

    def code(self, observations: Observation) -> Tensor:
        """Tokens (B, T, numbers) of successive frames, rounded as a state keeps them."""
        return self.tokenizer.encode(observations).half().float().flatten(2)

    def drawn_from(self, code: Tensor, names: Sequence[str]) -> Observation:
        """The modalities `names` from tokens (B, numbers)."""
        return self.tokenizer.drawn(code.unflatten(1, (self.tokenizer.count, -1)), names)

    def compact(self, state: State) -> State:
        """All but the keys and values, which are nine tenths of a state, and what is drawn of its last tokens."""
        rings = self._past(state).in_state()
        large = {name for name in rings if name != "frames"} | {SHOWN + name for name in self.draws}
        return {name: value for name, value in state.items() if name not in large}

    def expand(self, compact: State) -> State:
        """The state, its keys and values computed again from the frames that they follow from, in their order, and its
        last frame drawn again.
        """
        count = compact["frames"]
        past = self.dynamics.empty_past(len(count))
        # Before its first frame a row stays without a past; steps before the first frame of all rows are left out.
        past = past._replace(frames=(count - self.history).clamp_min(0))
        for i in range(max(self.history - int(count.max()), 0), self.history):
            frame = count - self.history + i
            last, tokens = compact["tokens"][:, i : i + 2].unbind(1)
            last = torch.where(_rows(frame > 0, last), last, tokens)
            moved, condition = (compact[name][:, i] for name in ("moved", "conditions"))
            later = self._next(tokens, moved, last, condition, past)[1]
            there = frame >= 0
            keys, values = (
                tuple(torch.where(_rows(there, new), new, old) for new, old in zip(*pair))
                for pair in zip(later[:2], past[:2])
            )
            past = Past(keys, values, (frame + 1).clamp_min(0))
        drawn = self.tokenizer.drawn(compact["tokens"][:, -1], self.draws)
        shown = {name: torch.where(_rows(count > 0, value), value, 0) for name, value in drawn.items()}
        return {**compact, **past.in_state(), **_kept(shown)}

    def _committed(self, state: State, tokens: Tensor, moved: Tensor) -> State:
        """The state after a frame, tokens (B, count, channels) float16, and the one before it, `moved`, likewise: what
        a state keeps of them is what everything after them follows from. Its ego, motions, actions and pictures are
        those of `state`; what was before is its past.
        """
        condition = self._numbers(state)
        agents, past = self._next(tokens, moved, self._last(state, tokens), condition, self._past(state))
        return {
            **state,
            "tokens": torch.cat([state["tokens"][:, 1:], tokens[:, None]], 1),
            "moved": torch.cat([state["moved"][:, 1:], moved[:, None]], 1),
            "conditions": torch.cat([state["conditions"][:, 1:], condition[:, None]], 1),
            "agents": agents.flatten(1),
            **past.in_state(),
        }

    @staticmethod
    def _last(state: State, tokens: Tensor) -> Tensor:
        """Tokens (B, count, channels) of the frame before one; before its first a row stood still."""
        return torch.where(_rows(state["frames"] > 0, tokens), state["tokens"][:, -1], tokens)

    def _next(self, tokens: Tensor, moved: Tensor, last: Tensor, condition: Tensor, past: Past) -> tuple[Tensor, Past]:
        """Agent tokens (B, agents, width) of a frame, see `_committed`, and the past with it."""
        noise = self.patterns[past.frames % PATTERNS]
        condition_tokens = self.dynamics.condition_tokens(self._condition(condition))
        veiled = self.veiled(moved, last, past)
        output, past = commit(self.dynamics, tokens.float(), noise, veiled, condition_tokens, past)
        return output.agents, past

    def _signals(
        self, tokens: Tensor, before: Tensor, shown: Observation, veiled: Tensor, condition_tokens: Tensor, past: Past
    ) -> Tensor:
        """(B, SIGNALS) of a frame, tokens (B, count, channels), and of what it shows; it came after `past`."""
        c = self.config
        apart = spread(self.dynamics, self.patterns, veiled, condition_tokens, past, c.doubt_seeds)
        unlike = torch.zeros_like(apart)
        if c.doubt_cycle:
            unlike = unlike_itself(self.tokenizer, tokens.float(), before.float(), shown)
        return torch.stack([apart, unlike], -1)

    def _past(self, state: State) -> Past:
        return Past.from_state(state, self.config.time_layers)

    def _shown(self, state: State) -> Observation:
        return {name: state[SHOWN + name] for name in self.draws}

    @staticmethod
    def _numbers(state: State) -> Tensor:
        """(B, 9): the last action, and the ego as `ego.numbers` has it."""
        return torch.cat([state["actions"][:, -1], ego_numbers.numbers(state["ego"], state["motions"][:, -1])], -1)

    @staticmethod
    def _condition(condition: Tensor) -> Condition:
        known = torch.ones_like(condition[..., 0], dtype=torch.bool)
        return Condition(condition[..., :2], known, condition[..., 2:], known)


def last_of_clips(tokens: Tensor) -> Tensor:
    """(B, T, count, channels) float16, as a state keeps them: for each frame of clips the one before it, for their
    first that itself.
    """
    return torch.cat([tokens[:, :1], tokens[:, :-1]], 1).half()


def _kept(shown: Observation) -> State:
    """What is shown, as a state has it."""
    return {SHOWN + name: value for name, value in shown.items()}


def _rows(which: Tensor, like: Tensor) -> Tensor:
    """Rows (B,) bool, to be broadcast against `like` (B, ...)."""
    return which.view(-1, *[1] * (like.ndim - 1))
