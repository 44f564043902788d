"""Dreams that an agent learns in: rows of imagination that go on from update to update, each begun at a real moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.agents.experience.worth import of_imagined
from learned_sim_env.agents.settings import DreamSettings
from learned_sim_env.imagination import Inference, Rollout, Start, Starts, judge
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.torch_state import making

SEED_LIMIT = 2**63
# Given features (B, size) and ego vectors (B, 6) of all rows: what is decided in each, and the actions (B, 2) float32
# in [-1, 1] that carry it out.
Act = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Segment:
    """T successive steps of B dreams.

    features: (T + 1, B, size), before each step and after the last one; where a dream was left, those of the next one.
    decided: (T, B, ...), what was decided. rewards, costs: (T, B), means over what may have happened in a step.
    goes_on: (T, B), probability that no event ended the episode in it. left: (T, B) bool, steps after which the row was
    put to the start of another dream. left_features: (n, size), where these had come to, in the order of
    `left.nonzero()`. ended: (T, B) bool, those of them that an event has ended. contract_rewards: (T, B), as the
    contract has them, without what is subtracted.
    """

    features: Tensor
    decided: Tensor
    rewards: Tensor
    costs: Tensor
    goes_on: Tensor
    left: Tensor
    left_features: Tensor
    ended: Tensor
    contract_rewards: Tensor

    @property
    def steps(self) -> int:
        """Of all rows."""
        return self.rewards.numel()

    def next_values(self, values: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
        """Values (T, B) of the states that the steps led to.

        values: (T + 1, B), of `features`. value: gives values (n,) of features (n, size).
        """
        following = values[1:].clone()
        if len(self.left_features):
            following[self.left] = value(self.left_features)
        return following


class Dreams:
    """B rows of imagination; where a dream ends, or has lasted for so many steps, the row begins another one at once.

    The first dreams of all rows last shorter, each by chance, so that rows do not begin anew at the same time.

    Args:
        checkpoint: of the frozen world model.
        settings: see `DreamSettings`.
        contexts: real moments to begin at; by default the checkpoint's.
        dtype: of the model's large matrix products.

    Attributes:
        features: (B, size) float32 of all rows now. ego: (B, 6) float32 likewise. begun: whether any dream has begun.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: DreamSettings,
        contexts: Contexts | None = None,
        dtype: str = "bfloat16",
    ):
        with making():
            model = checkpoint.model.in_bfloat16() if dtype == "bfloat16" else checkpoint.model
            where = next(iter(model.initial(1).values())).device
        self.settings = settings.suited(model)
        self.contract, self.bound = checkpoint.contract, checkpoint.uncertainty_bound
        self._contexts = checkpoint.contexts if contexts is None else contexts
        self._inference = Inference(where, settings.rows)
        self.rollout = Rollout(model, settings.rows, self._inference)
        self._starts = Starts(model, self._contexts, self._inference)
        self.features = np.zeros((settings.rows, model.latent_size), np.float32)
        self.ego = np.zeros((settings.rows, 6), np.float32)
        self.begun = False

    def segment(self, act: Act, chance: np.random.Generator, horizon: int | None = None) -> Segment:
        """The next steps of all rows; `settings.horizon` of them, if nothing else is said.

        Args:
            act: decides.
            chance: where dreams begin, and their seeds.
        """
        rows, steps = self.settings.rows, self.settings.horizon if horizon is None else horizon
        if not self.begun:
            self.begin(chance)
        features, decided, left_features = [], [], []
        numbers = np.zeros((4, steps, rows), np.float32)
        left, ended = np.zeros((2, steps, rows), bool)
        for t in range(steps):
            features.append(self.features)
            choices, actions = act(self.features, self.ego)
            decided.append(choices)
            imagined = self.rollout.step(actions)
            judged = judge(imagined, self.contract, self.bound, self.rollout.steps >= self.settings.dream)
            worth = of_imagined(judged.imagined, self.contract, self.settings)
            numbers[:, t] = worth.worth, worth.cost, worth.goes_on, worth.reward
            left[t], ended[t] = judged.end >= 0, judged.terminated
            self.features, self.ego = np.nan_to_num(self.rollout.features()), judged.imagined.ego
            if left[t].any():
                over = np.flatnonzero(left[t])
                left_features.append(self.features[over])
                self._begin(over, chance)
        rewards, costs, goes_on, contract_rewards = torch.from_numpy(numbers)
        return Segment(
            features=torch.from_numpy(np.stack([*features, self.features])),
            decided=torch.from_numpy(np.stack(decided)),
            rewards=rewards,
            costs=costs,
            goes_on=goes_on,
            left=torch.from_numpy(left),
            left_features=torch.from_numpy(np.concatenate([self.features[:0], *left_features])),
            ended=torch.from_numpy(ended),
            contract_rewards=contract_rewards,
        )

    def begin(self, chance: np.random.Generator) -> np.ndarray:
        """Begin new dreams in all rows; their features (B, size) at these real moments."""
        rows = np.arange(self.settings.rows)
        self._begin(rows, chance, chance.integers(self.settings.dream, size=len(rows)))
        self.begun = True
        return self.features

    def memory(self) -> dict[str, Tensor]:
        """All rows as they are."""
        if not self.begun:
            return {}
        rows = [self.rollout.snapshot(row) for row in range(self.settings.rows)]
        states = {f"state.{n}": torch.from_numpy(np.stack([r["state"][n] for r in rows])) for n in rows[0]["state"]}
        numbers: dict[str, np.ndarray] = {"seeds": self.rollout.seeds, "steps": self.rollout.steps, "ego": self.ego}
        return {**states, **{name: torch.from_numpy(values.copy()) for name, values in numbers.items()}}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """Put the rows back to where `memory` was taken."""
        if not memory:
            return
        kept = {n.removeprefix("state."): v.numpy() for n, v in memory.items() if n.startswith("state.")}
        model, ego = self.rollout.model, memory["ego"].numpy()
        starts = [
            Start.from_snapshot(
                model, self._inference, {"state": {n: v[row] for n, v in kept.items()}, "drawn": {}}, ego[row]
            )
            for row in range(self.settings.rows)
        ]
        rows = np.arange(self.settings.rows)
        self.rollout.start(rows, Start.joined(starts), memory["seeds"].numpy(), memory["steps"].numpy())
        self.features, self.ego, self.begun = np.nan_to_num(self.rollout.features()), ego, True

    def _begin(self, rows: np.ndarray, chance: np.random.Generator, steps: np.ndarray | int = 0) -> None:
        """Begin new dreams in `rows` (n,) int64, as if `steps` (n,) of each had gone by."""
        start = self._starts.from_contexts(chance.integers(len(self._contexts), size=len(rows)))
        self.rollout.start(rows, start, chance.integers(SEED_LIMIT, size=len(rows)), steps)
        self.features, self.ego = self.rollout.features(), self.ego.copy()
        self.ego[rows] = start.ego
