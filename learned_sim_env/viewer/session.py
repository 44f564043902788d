"""A drive through a dream: step, begin again, go back, mark, perturb. Knows neither window nor keys."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.viewer.timeline import NO_TRAIL, Moment

# What a perturbation changes: the recurrent part of a model's state.
PERTURBED = "h"


class Session:
    """The drive of one learned environment (obs_type "dict", continuous actions).

    Args:
        env: to drive in.
        seed: of everything that is imagined, until `another_chance`.
        scenario: one of `spec.SCENARIO_TAGS` to begin at; None: anywhere.

    Attributes:
        moment: where it stands.
        mark: what `return_to_mark` goes back to, or None.

    Raises:
        ValueError: for an unknown scenario, or one that no context has.
    """

    def __init__(self, env: gym.Env, seed: int = 0, scenario: str | None = None):
        self.env, self.seed, self.scenario = env, seed, scenario
        self._dream: Any = env.unwrapped
        self.mark: Moment | None = None
        self.moment: Moment
        self._begin({} if scenario is None else {"scenario": scenario})

    @property
    def contract(self) -> Any:
        """Of the environment."""
        return self._dream.contract

    @property
    def uncertainty_bound(self) -> float:
        """Uncertainty over which the environment truncates."""
        return float(self._dream.episodes.uncertainty_bound)

    @property
    def max_steps(self) -> int:
        """Steps after which it does so anyway."""
        return int(self._dream.episodes.max_episode_steps)

    @property
    def contexts(self) -> Any:
        """The checkpoint's, see `world_model.contexts.Contexts`."""
        return self._dream.checkpoint.contexts

    def features(self) -> np.ndarray:
        """(latent_size,) float32 of the model's present state, as obs_type "latent" gives them."""
        return self._dream.episodes.rollout.features()[0]

    def step(self, action: np.ndarray) -> Moment:
        """One clock step under `action` (2,) float32."""
        observation, reward, _, _, info = self.env.step(action)
        self.moment = Moment(
            observation, info, self._dream.snapshot(), float(reward), self.moment, np.array(action, np.float32)
        )
        return self.moment

    def again(self) -> Moment:
        """The same start with the same chance."""
        context = self.moment.info["context"]
        return self._begin({"context": context} if context >= 0 else self._anywhere())

    def another_chance(self) -> Moment:
        """The same start with another seed."""
        self.seed += 1
        return self.again()

    def following(self) -> Moment:
        """The next context, of those that have the scenario if one was asked for."""
        pool = range(len(self.contexts)) if self.scenario is None else self.contexts.indices(self.scenario)
        later = [int(i) for i in pool if i > self.moment.info["context"]]
        return self._begin({"context": later[0] if later else int(pool[0])})

    def go_to(self, scenario: str | None) -> Moment:
        """Another kind of place; None: any. `ValueError` if no context is of that kind, and nothing has changed."""
        if scenario is not None:
            self.contexts.indices(scenario)
        self.scenario = scenario
        return self._begin(self._anywhere())

    def set_mark(self) -> None:
        """Remember this moment."""
        self.mark = self.moment

    def return_to_mark(self) -> Moment | None:
        """Back to the mark, from where everything can be tried again; None without one."""
        return None if self.mark is None else self.restore(self.mark)

    def rewind(self) -> Moment | None:
        """A step back; None where there is none."""
        return None if self.moment.parent is None else self.restore(self.moment.parent)

    def restore(self, moment: Moment) -> Moment:
        """Go to a moment that was there before."""
        self._dream.restore(moment.snapshot)
        self.moment = moment
        return moment

    def open(self, snapshot: dict[str, Any], trail: np.ndarray = NO_TRAIL) -> Moment:
        """Go to a moment of which only the snapshot is left, and the uncertainty `trail` (n,) float32 before it."""
        observation, info = self._dream.restore(snapshot)
        self.moment = Moment(observation, info, snapshot, trail=trail)
        return self.moment

    def perturb(self, strength: float) -> Moment:
        """Push the model's recurrent state at random, by `strength` of its own spread.

        The push depends on seed and step alone. What has been imagined of the map stays.

        Raises:
            ValueError: if the model has no such state.
        """
        here, snapshot = self.moment, self.moment.snapshot
        if PERTURBED not in snapshot["state"]:
            raise ValueError("this model has no recurrent state to perturb")
        latent = snapshot["state"][PERTURBED]
        push = np.random.default_rng([snapshot["seed"], snapshot["step"]]).standard_normal(latent.shape)
        moved = (latent + strength * latent.std() * push).astype(latent.dtype)
        state = {**snapshot["state"], PERTURBED: moved}
        # Without its view, which is drawn anew.
        observation, info = self._dream.restore({**snapshot, "state": state, "drawn": {}})
        self.moment = Moment(
            observation,
            info,
            self._dream.snapshot(),
            here.reward,
            here.parent,
            here.action,
            here.trail,
            here.real_start,
        )
        return self.moment

    def _anywhere(self) -> dict[str, Any]:
        return {} if self.scenario is None else {"scenario": self.scenario}

    def _begin(self, options: dict[str, Any]) -> Moment:
        observation, info = self.env.reset(seed=self.seed, options=options)
        real = info["context"] >= 0 and hasattr(self.contexts, "scenarios")
        self.moment = Moment(observation, info, self._dream.snapshot(), real_start=real)
        return self.moment
