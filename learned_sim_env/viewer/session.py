"""A drive through a dream: step, begin again, go back, mark, perturb. Knows neither window nor keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import gymnasium as gym
import numpy as np

from learned_sim_env.display.frame import Frame, Status, Views
from learned_sim_env.environments.observations import in_view
from learned_sim_env.rendering.camera import CONDITIONS
from learned_sim_env.viewer.timeline import NO_TRAIL, TimelineMoment

# What a perturbation changes: the recurrent part of a model's state.
PERTURBED = "h"
# The only row of the environment.
ROW = np.array([0])


class Session:
    """The drive of one learned environment (obs_type "dict", continuous actions).

    Args:
        env: to drive in.
        seed: of everything that is imagined, until `another_chance`.
        scenario: one of `spec.SCENARIO_TAGS` to begin at; None: anywhere.

    Attributes:
        draws: modalities that the model draws. viewed: those that are shown.
        moment: where it stands.
        mark: what `return_to_mark` goes back to, or None.

    Raises:
        ValueError: for an unknown scenario, or one that no context has.
    """

    def __init__(self, env: gym.Env, seed: int = 0, scenario: str | None = None):
        self.env, self.seed, self.scenario = env, seed, scenario
        self._dream = dream = cast(Any, env.unwrapped)
        self.draws = tuple(dream.episodes.rollout.model.draws)
        self.viewed = in_view(self.contract, self.draws)
        self.mark: TimelineMoment | None = None
        self.moment: TimelineMoment
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

    def modalities(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Modalities of now, as arrays of their shapes: "ego", and what the model draws."""
        drawn, ego = self._dream.episodes.rollout.drawn, self.moment.observation["ego"]
        return {name: ego if name == "ego" else drawn(name, ROW)[0] for name in names}

    def step(self, action: np.ndarray) -> TimelineMoment:
        """One clock step under `action` (2,) float32."""
        observation, reward, _, _, info = self.env.step(action)
        taken = np.array(action, np.float32)
        self.moment = TimelineMoment(observation, info, *self._seen(), float(reward), self.moment, taken)
        return self.moment

    def again(self) -> TimelineMoment:
        """The same start with the same chance."""
        context = self.moment.info["context"]
        return self._begin({"context": context} if context >= 0 else self._anywhere())

    def another_chance(self) -> TimelineMoment:
        """The same start with another seed."""
        self.seed += 1
        return self.again()

    def following(self) -> TimelineMoment:
        """The next context, of those that have the scenario if one was asked for."""
        pool = range(len(self.contexts)) if self.scenario is None else self.contexts.indices(self.scenario)
        later = [int(i) for i in pool if i > self.moment.info["context"]]
        return self._begin({"context": later[0] if later else int(pool[0])})

    def go_to(self, scenario: str | None) -> TimelineMoment:
        """Another kind of place; None: any. `ValueError` if no context is of that kind, and nothing has changed."""
        if scenario is not None:
            self.contexts.indices(scenario)
        self.scenario = scenario
        return self._begin(self._anywhere())

    @property
    def look(self) -> str:
        """The light or weather in which the cameras of the present start were drawn, "" where that is not known."""
        context = self.moment.info["context"]
        return self._looks()[context] if context >= 0 else ""

    def next_look(self) -> TimelineMoment:
        """The next context in another light or weather: of the scenario that was asked for, if there is one.

        Raises:
            ValueError: if the model draws no cameras, or all contexts look alike; nothing has changed.
        """
        looks = self._looks()
        if not any(looks):
            raise ValueError("not applicable: only models that draw cameras dream in a light")
        there = [look for look in CONDITIONS if look in looks]
        start = there.index(self.look) if self.look in there else -1
        wanted = there[(start + 1) % len(there)]
        if wanted == self.look:
            raise ValueError(f"all contexts of this checkpoint look alike: {wanted}")
        pool = [i for i, look in enumerate(looks) if look == wanted]
        if self.scenario is not None:
            asked = set(self.contexts.indices(self.scenario).tolist())
            pool = [i for i in pool if i in asked] or pool
        return self._begin({"context": pool[0]})

    def _looks(self) -> list[str]:
        """Of every context, how its cameras were drawn; "" where the model draws none."""
        draws = any(m.name in self.draws for m in self.contract.cameras)
        return self.contexts.looks if draws else [""] * len(self.contexts)

    def set_mark(self) -> None:
        """Remember this moment."""
        self.mark = self.moment

    def return_to_mark(self) -> TimelineMoment | None:
        """Back to the mark, from where everything can be tried again; None without one."""
        return None if self.mark is None else self.restore(self.mark)

    def rewind(self) -> TimelineMoment | None:
        """A step back; None where there is none."""
        return None if self.moment.parent is None else self.restore(self.moment.parent)

    def restore(self, moment: TimelineMoment) -> TimelineMoment:
        """Go to a moment that was there before."""
        self._dream.restore(moment.snapshot)
        self.moment = moment
        return moment

    def open(self, snapshot: dict[str, Any], trail: np.ndarray = NO_TRAIL) -> TimelineMoment:
        """Go to a moment of which only the snapshot is left, and the uncertainty `trail` (n,) float32 before it."""
        observation, info = self._dream.restore(snapshot)
        # Taken anew, so that all snapshots of a session are alike, whichever version of the package took this one.
        self.moment = TimelineMoment(observation, info, *self._seen(), trail=trail)
        return self.moment

    @property
    def can_perturb(self) -> bool:
        """Whether the model has a recurrent state, which `perturb` pushes."""
        return PERTURBED in self.moment.snapshot["state"]

    def perturb(self, strength: float) -> TimelineMoment:
        """Push the model's recurrent state at random, by `strength` of its own spread.

        The push depends on seed and step alone. What has been imagined of the map stays.

        Raises:
            ValueError: if the model has no such state.
        """
        here, snapshot = self.moment, self.moment.snapshot
        if not self.can_perturb:
            raise ValueError("not applicable: this model has no recurrent state to perturb")
        latent = snapshot["state"][PERTURBED]
        push = np.random.default_rng([snapshot["seed"], snapshot["step"]]).standard_normal(latent.shape)
        moved = (latent + strength * latent.std() * push).astype(latent.dtype)
        state = {**snapshot["state"], PERTURBED: moved}
        # Without its views, which are drawn anew.
        observation, info = self._dream.restore({**snapshot, "state": state, "drawn": {}})
        self.moment = TimelineMoment(
            observation,
            info,
            *self._seen(),
            here.reward,
            here.parent,
            here.action,
            here.trail,
            here.real_start,
        )
        return self.moment

    def _anywhere(self) -> dict[str, Any]:
        return {} if self.scenario is None else {"scenario": self.scenario}

    def _begin(self, options: dict[str, Any]) -> TimelineMoment:
        observation, info = self.env.reset(seed=self.seed, options=options)
        real = info["context"] >= 0 and hasattr(self.contexts, "scenarios")
        self.moment = TimelineMoment(observation, info, *self._seen(), real_start=real)
        return self.moment

    def _seen(self) -> tuple[Views, dict[str, Any]]:
        """All views of now, and a snapshot, taken after they were drawn: restored, it shows them again as they were."""
        rollout = self._dream.episodes.rollout
        rollout.draw(self.viewed, ROW)
        return {name: rollout.drawn(name, ROW)[0] for name in self.viewed}, self._dream.snapshot()


def frame_of(session: Session, status: Status | None = None) -> Frame:
    """The frame of the session's moment; its twin as far as the moment knows it, and no overlay."""
    moment = session.moment
    record = moment.snapshot["record"]
    return Frame(
        views=moment.views,
        ego=moment.observation["ego"],
        info=moment.info,
        step=int(moment.snapshot["step"]),
        dt=session.contract.dt,
        limit=session.max_steps,
        reward_total=float(record["reward_total"]),
        cost_total=float(record["cost_total"]),
        trail=moment.uncertainties(),
        bound=session.uncertainty_bound,
        seed=session.seed,
        twin=moment.twin,
        status=status or Status(),
    )
