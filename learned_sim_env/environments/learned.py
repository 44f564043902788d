"""The dream as a Gymnasium environment: a frozen world model takes the place of the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from learned_sim_env.environments.actions import keys_to_action, to_continuous
from learned_sim_env.environments.episodes import Episodes
from learned_sim_env.environments.info import numeric
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.made import Made, episode_limit
from learned_sim_env.environments.observations import in_view, take
from learned_sim_env.spec import INFO_TYPES, unknown
from learned_sim_env.world_model.checkpoint import Checkpoint

# The only row of the episodes behind a single environment.
ROW = np.array([0])


class LearnedDrivingEnv(Made, gym.Env):
    """Drive a route that a trained world model imagines, seen from above or by cameras.

    Action space: `Box(-1, 1, (2,), float32)`, `[steer, throttle_brake]`; steer +1 is full right, throttle_brake +1 full
    throttle, -1 full brake. What lies outside is clipped. With `action_type="discrete"`: the 30 of
    `spec.DISCRETE_ACTIONS`.

    Observation space, by `obs_type`: "dict" has `modalities`, of which "bev" (64, 64, 3) uint8 is in the colours of
    `spec.PALETTE`, "front", "left" and "right" (64, 96, 3) uint8 are cameras, "route" (10, 2) float32 are waypoints
    [m], and "ego" (6,) float32 is described by `spec.EGO_FIELDS`; "classes" has "semantic" (64, 64) uint8 class ids in
    place of "bev"; "semantic" has these alone, the name of a modality that modality; "flat" (110,) float32 has what
    `drivers.ray_features` reads off the view, and the ego; "latent" (latent_size,) float32 has the model's features,
    and nothing is ever drawn.

    Reward: the sum of `info["reward_terms"]`, each bounded; `info["cost"]` is 1 in a step with a collision, off the
    road or driving the wrong way. An episode terminates on collision, off the road and on arrival; it is truncated at
    the time limit, when the model's uncertainty about a step is over its bound, and when the model gives numbers that
    are not finite: that step has no reward and no cost, and repeats the last observation. `info["end_reason"]` names
    the reason.

    A model call runs on one thread of the CPU. A program's own torch settings (default dtype and device, autocast,
    gradients, threads, random state) have no effect on it, and are left unchanged.

    Args:
        checkpoint: name of a shipped checkpoint, a path, or a `Checkpoint` that is loaded already (and stays on its
            device, whatever `device` says).
        obs_type: one of `spec.OBS_TYPES`, or the name of a modality of the contract.
        action_type: "continuous" or "discrete".
        render_mode: None, "rgb_array" or "human".
        max_episode_steps: the contract's if None, or that of Gymnasium's `TimeLimit`, to which `gym.make` gives this
            argument instead; the wrapper counts the steps that are taken, whatever `restore` goes back to.
        device: where the model is loaded, as torch names it.
        dtype: "float32", or "bfloat16" for the model's matrix products.
        temperature: of imagination; 1 samples from the model's distributions, 0 takes the mode.
        uncertainty_bound: the checkpoint's if None; `float("inf")` never truncates.
        contract: name of the one that the checkpoint must have been trained for, as an id declares it; any if None.
        info_type: "full", or "numeric" for infos of numbers alone, see `environments.info.numeric`.
        modalities: of obs_type "dict" and "classes", such as ("bev", "ego", "route"); the contract's own if None.

    Raises:
        ValueError, FileNotFoundError: for a wrong argument or an unknown checkpoint.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 10}

    def __init__(
        self,
        checkpoint: str | Path | Checkpoint = "bev-rssm",
        obs_type: str = "dict",
        action_type: str = "continuous",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        temperature: float = 1.0,
        uncertainty_bound: float | None = None,
        info_type: str = "full",
        contract: str | None = None,
        modalities: Sequence[str] | None = None,
    ):
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown("render_mode", render_mode, self.metadata["render_modes"])
        if info_type not in INFO_TYPES:
            raise unknown("info_type", info_type, INFO_TYPES)
        self.render_mode, self.action_type, self.info_type = render_mode, action_type, info_type
        self.episodes = Episodes(
            1,
            checkpoint,
            obs_type,
            max_episode_steps,
            device,
            dtype,
            temperature,
            uncertainty_bound,
            contract,
            modalities,
        )
        self.checkpoint, self.contract = self.episodes.checkpoint, self.episodes.contract
        self.observation_space = self.episodes.observation_space
        self.action_space = self.contract.action_space(action_type)
        self._asked = max_episode_steps
        self._window: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode at one of the checkpoint's real contexts, or where `options` say.

        Args:
            seed: determines the context and everything that is imagined; None: the generator goes on.
            options: at most one of
                "context": index of a context;
                "scenario": one of `spec.SCENARIO_TAGS`, to draw among the contexts with this tag;
                "appearance": one of `rendering.camera.CONDITIONS`, to draw among those whose cameras show it; it goes
                together with "scenario";
                "observations" with "actions": your own T >= 1 observations and what led to them, see
                `options.real_steps`;
                "snapshot": a moment to begin a new episode at, with a new seed and a full time limit.

        Raises:
            ValueError: for options that are unknown, contradict each other or have wrong values. After that there is no
                episode until a reset succeeds.
        """
        self.episodes.abandon(ROW)
        super().reset(seed=seed)
        self.episodes.max_episode_steps = episode_limit(self, self.contract, self._asked)
        self.episodes.begin(ROW, [self.np_random], options)
        return self._observed()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Imagine one clock step.

        Raises:
            ResetNeeded: before the first reset or after the end of an episode.
            ValueError: for an action of another shape or type, or one that is not finite.
        """
        if not self.episodes.running[0]:
            raise ResetNeeded("call reset() first: there is no running episode")
        actions = to_continuous(action, self.action_type)[None]
        (reward,), (terminated,), (truncated,) = self.episodes.advance(actions)
        observation, info = self._observed()
        return observation, float(reward), bool(terminated), bool(truncated), info

    def render(self) -> np.ndarray | None:
        """(H, W, 3) uint8 in mode "rgb_array"; shows it in a window in mode "human"; `ResetNeeded` before a reset."""
        if self.render_mode == "rgb_array":
            return self.episodes.frames()[0]
        if self.render_mode == "human":
            self.episodes.check_begun()
            from learned_sim_env.display.frame import Frame
            from learned_sim_env.display.window import Window

            if self._window is None:
                self._window = Window(self.spec.id if self.spec else "dream", self.metadata["render_fps"])
            e, record = self.episodes, self.episodes.records[0]
            names = in_view(self.contract, self.checkpoint.model.draws)
            e.rollout.draw(names, ROW)
            frame = Frame(
                views={name: e.rollout.drawn(name, ROW)[0] for name in names},
                ego=record["ego"],
                info=e.info(0),
                step=int(e.rollout.steps[0]),
                dt=self.contract.dt,
                limit=e.max_episode_steps,
                reward_total=float(record["reward_total"]),
                cost_total=float(record["cost_total"]),
                bound=e.uncertainty_bound,
            )
            self._window.show(frame)
        return None

    def get_keys_to_action(self) -> dict[str, Any]:
        """What W, A, S and D do in `gymnasium.utils.play`."""
        return keys_to_action(self.action_type)

    def close(self) -> None:
        """Close the window."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def snapshot(self) -> dict[str, Any]:
        """The present moment: a small dict of NumPy arrays, numbers and strings, which can be pickled.

        It holds the model's state, seed, step, totals and whether the episode has ended; not the generator that later
        resets draw from.

        Raises:
            ResetNeeded: before the first reset.
        """
        return self.episodes.snapshot(0)

    def restore(self, snapshot: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Go back to a moment; the same actions then give the same observations and rewards, bit for bit.

        Returns:
            Observation and info, as when the snapshot was taken.

        Raises:
            ValueError: for a snapshot of another checkpoint or format, or an incomplete one. Then nothing has changed.
        """
        self.episodes.restore(ROW, snapshot)
        return self._observed()

    def branch(self, n: int, seeds: Sequence[int] | None = None) -> LearnedDrivingVectorEnv:
        """n rows at the present moment, ready to be stepped: what would happen if?

        Args:
            n: rows.
            seeds: one noise seed a row, for other chances; None: the rows differ by their actions only.

        Returns:
            A vector environment with autoreset mode NEXT_STEP and render mode "rgb_array".
        """
        limit = self.episodes.max_episode_steps
        settings = {**self.episodes.settings, "action_type": self.action_type, "max_episode_steps": limit}
        settings["info_type"] = self.info_type
        return LearnedDrivingVectorEnv.from_snapshot(self.snapshot(), n, seeds, **settings)

    def _observed(self) -> tuple[Any, dict[str, Any]]:
        if self.render_mode == "human":
            self.render()
        info = self.episodes.info(0)
        return take(self.episodes.observe(ROW), 0), numeric(info) if self.info_type == "numeric" else info
