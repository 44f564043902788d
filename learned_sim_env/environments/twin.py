"""A simulator behind the contract: what the dream is checked against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from learned_sim_env import task
from learned_sim_env.environments.actions import keys_to_action, to_continuous
from learned_sim_env.environments.cameras import Cameras
from learned_sim_env.environments.features import open_filter
from learned_sim_env.environments.info import numeric
from learned_sim_env.environments.made import Made, episode_limit
from learned_sim_env.environments.observations import in_picture, in_view, needed, picture, shown
from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.road import road_index
from learned_sim_env.scene import PICTURES, Scene, SimulatorError, relative_motion
from learned_sim_env.simulators import open_simulator
from learned_sim_env.spec import (
    CONTRACTS,
    COST_TERMS,
    INFO_TYPES,
    REWARD_TERMS,
    SCENARIO_TAGS,
    TERMINATIONS,
    TRAINING_SCENARIOS,
    Modality,
    unknown,
)

if TYPE_CHECKING:
    from learned_sim_env.world_model.checkpoint import Checkpoint

# Of `reset`.
OPTIONS = ("scenario", "appearance")


class TwinDrivingEnv(Made, gym.Env):
    """Drive a route in a real simulator, seen from above.

    Action, observation, reward, cost and end are those of `LearnedDrivingEnv`, computed from the simulator's scenes.

    Args:
        simulator: "metadrive", "carla" or "recorded".
        contract: name of the shared contract.
        obs_type: one of `spec.OBS_TYPES`, or the name of a modality of the contract; "latent" is a world model's
            features of real observations, see `imagination.filter.Filter`.
        action_type: "continuous" or "discrete".
        render_mode: None, "rgb_array" or "human".
        max_episode_steps: the contract's if None, or that of Gymnasium's `TimeLimit`, to which `gym.make` gives this
            argument instead.
        isolate: run the simulator in a process of its own; None: only where this process already has one.
        checkpoint: of the model for obs_type "latent": the name of a shipped one, a path, or a `Checkpoint`.
        info_type: "full", or "numeric" for infos of numbers alone, see `environments.info.numeric`.
        modalities: of obs_type "dict" and "classes", such as ("bev", "ego", "route"); the contract's own if None.
        camera_source: of the contract's cameras: "drawn" from the scene, or "sensor", the simulator's own.
        appearance: of cameras that are drawn: a condition such as "night", a seed, or an `Appearance`; None: drawn from
            the scenario's seed.
        settings: the simulator's own keyword arguments.

    `reset(seed=s)` drives scenario s; `options={"scenario": tag}` asks for one of `spec.SCENARIO_TAGS`,
    `options={"appearance": "fog"}` for the appearance of this episode, and a simulator may have options of its own.

    Attributes:
        simulator_name: as it was asked for. scene: of the present moment. semantic: (H, W) uint8 class ids.
        ego_vector: (6,) float32. events: (4,) bool, of `task.EVENTS`. tags: (7,) bool, of `spec.SCENARIO_TAGS`, of the
            present place; those in `info` are of the moment at which the episode began.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 10}

    def __init__(
        self,
        simulator: str = "metadrive",
        contract: str = "driving",
        obs_type: str = "dict",
        action_type: str = "continuous",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        isolate: bool | None = None,
        checkpoint: str | Path | Checkpoint | None = None,
        info_type: str = "full",
        modalities: Sequence[str] | None = None,
        camera_source: str = "drawn",
        appearance: Any = None,
        **settings: Any,
    ):
        if contract not in CONTRACTS:
            raise unknown("contract", contract, CONTRACTS)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown("render_mode", render_mode, self.metadata["render_modes"])
        if info_type not in INFO_TYPES:
            raise unknown("info_type", info_type, INFO_TYPES)
        self.contract = CONTRACTS[contract]
        self.obs_type, self.action_type = obs_type, action_type
        self.render_mode, self.info_type = render_mode, info_type
        self._filter = open_filter(obs_type, checkpoint, self.contract)
        latent_size = 0 if self._filter is None else self._filter.size
        self.observation_space = self.contract.observation_space(obs_type, latent_size, modalities)
        self._needed = needed(self.contract, obs_type, modalities)
        self.action_space = self.contract.action_space(action_type)
        self._asked, self.max_episode_steps = max_episode_steps, self.contract.episode_steps(max_episode_steps)
        self.renderer = BevRenderer(self.contract.bev)
        self.cameras = Cameras(self.contract, camera_source, appearance)
        self.simulator_name = simulator
        self.simulator = open_simulator(simulator, self.contract, isolate, **self.cameras.settings(), **settings)
        self._running = False
        self._window: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start scenario `seed`, or one drawn from the training scenarios.

        Raises:
            ValueError: for an unknown option, or a scenario that the simulator does not have.
            SimulatorError: if the simulator fails. After either there is no episode until a reset succeeds.
        """
        # Whatever fails below, the episode before is over.
        self._running = False
        super().reset(seed=seed)
        self.max_episode_steps = episode_limit(self, self.contract, self._asked)
        options = dict(options or {})
        known = (*OPTIONS, *getattr(self.simulator, "OPTIONS", ()))
        for name in options:
            if name not in known:
                raise unknown("option", name, known)
        scenario = int(self.np_random.integers(TRAINING_SCENARIOS.stop)) if seed is None else seed
        self.cameras.begin(scenario, options.pop("appearance", None))
        self.scene = _checked(self.simulator.reset(scenario, options))
        self._steps, self._running = 0, True
        self._totals = np.zeros(2)
        self._read_scene()
        self._start_tags = tuple(name for name, has in zip(SCENARIO_TAGS, self.tags) if has)
        self._features = None if self._filter is None else self._filter.begin(self.observed(self._filter.observes))
        self.outcome = task.outcome(np.zeros((1, 4), np.float32), np.zeros((1, 4), bool), self.contract.reward)
        return self._shown(np.zeros(3, np.float32), "")

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Apply an action for one clock step.

        Raises:
            ResetNeeded: before the first reset or after the end of an episode.
            ValueError: for an action of another shape or type, or one that is not finite.

        Where the simulator fails, or gives numbers that are not finite, the episode is truncated with `end_reason`
        "simulator_error", the last observation and no reward, and a warning tells what happened.
        """
        if not self._running:
            raise ResetNeeded("call reset() first: there is no running episode")
        before, action = self.scene, to_continuous(action, self.action_type)
        try:
            self.scene = _checked(self.simulator.step(action))
        except SimulatorError as error:
            return self._broken_off(error)
        self._steps += 1
        self._read_scene()
        if self._filter is not None:
            self._features = self._filter.go_on(self.observed(self._filter.observes), action)
        terms = task.graded_terms(before, self.scene, self.contract)
        self.outcome = task.outcome(terms[None], self.events[None], self.contract.reward)
        terminated = bool(self.outcome.terminated[0])
        truncated = not terminated and (self.scene.last or self._steps >= self.max_episode_steps)
        self._running = not (terminated or truncated)
        reason = TERMINATIONS[self.outcome.end[0]] if terminated else "time_limit" if truncated else ""
        reward = float(self.outcome.reward[0])
        self._totals += reward, float(self.outcome.cost[0])
        observation, info = self._shown(relative_motion(before.ego.pose, self.scene.ego.pose), reason)
        return observation, reward, terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """(H, W, 3) uint8 in mode "rgb_array"; shows it in a window in mode "human"; `ResetNeeded` before a reset."""
        if self.render_mode is not None and "scene" not in vars(self):
            raise ResetNeeded("call reset() first: there is nothing to be seen")
        if self.render_mode == "rgb_array":
            return picture(self.observed(in_picture(self.contract, self._available)), self.contract)
        if self.render_mode == "human":
            from learned_sim_env.display.frame import Frame
            from learned_sim_env.display.window import Window

            if self._window is None:
                self._window = Window(str(self.spec.id if self.spec else "twin"), self.metadata["render_fps"])
            reward_total, cost_total = self._totals.tolist()
            frame = Frame(
                views=self.observed(in_view(self.contract, self._available)),
                ego=self.ego_vector,
                info=self._shown_info,
                source=self.simulator_name,
                step=self._steps,
                dt=self.contract.dt,
                limit=self.max_episode_steps,
                reward_total=reward_total,
                cost_total=cost_total,
            )
            self._window.show(frame)
        return None

    def get_keys_to_action(self) -> dict[str, Any]:
        """What W, A, S and D do in `gymnasium.utils.play`."""
        return keys_to_action(self.action_type)

    def close(self) -> None:
        """Close the simulator and the window."""
        self.simulator.close()
        self._running = False
        if self._window is not None:
            self._window.close()
            self._window = None

    def _broken_off(self, error: SimulatorError) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The last step of an episode whose simulator failed."""
        gym.logger.warn(f"episode broken off after {self._steps} steps: {error}")
        self._running = False
        self.outcome = task.outcome(np.zeros((1, 4), np.float32), np.zeros((1, 4), bool), self.contract.reward)
        info = self._formatted(self._info(np.zeros(3, np.float32), "simulator_error"))
        return self._observation(), 0.0, False, True, info

    def _read_scene(self) -> None:
        """Compute everything that is read off the scene, once a step."""
        scene: Scene = self.scene
        self.map_layer = self.renderer.map_layer(scene)
        self.semantic = self.renderer.semantic(scene, self.map_layer)
        self.ego_vector = task.ego_vector(scene, self.contract)
        self.events = task.events(scene, self.contract)
        self.tags = task.scenario_tags(scene)
        self.cameras.look()

    @property
    def _available(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.contract.modalities)

    def observed(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Observations of the present moment, by modality of the contract, as arrays not to be written to."""
        return {name: self._observed(self.contract.modality(name)) for name in names}

    def _observed(self, modality: Modality) -> np.ndarray:
        if modality.camera is not None:
            return self.cameras.picture(modality.name, self.scene)
        if modality.name == "route":
            waypoints = road_index(self.scene.road_map).waypoints(self.scene.ego.pose)
            return np.clip(waypoints, *modality.limits)
        return {"bev": self.semantic, "ego": self.ego_vector}[modality.name]

    def set_appearance(self, appearance: Any) -> None:
        """Change the appearance of drawn cameras from the next observation on.

        Args:
            appearance: a condition ("clear", "overcast", "dusk", "night", "fog", "rain") in the colours of this
                episode, a seed, or an `Appearance`.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: for an unknown condition, or where no cameras are drawn.
        """
        if self.cameras.appearance is None:
            if self.contract.cameras and self.cameras.source == "drawn":
                raise ResetNeeded("call reset() first: there is no episode to be seen")
            raise ValueError(f"appearance {appearance!r}: no cameras are drawn here")
        self.cameras.dress(appearance, self.cameras.appearance.seed)

    def _shown(self, motion: np.ndarray, end_reason: str) -> tuple[Any, dict[str, Any]]:
        """Present observation and info; rendered in mode "human"."""
        self._shown_info = self._info(motion, end_reason)
        if self.render_mode == "human":
            self.render()
        return self._observation(), self._formatted(self._shown_info)

    def _formatted(self, info: dict[str, Any]) -> dict[str, Any]:
        """An info in the form that `info_type` asks for."""
        return numeric(info) if self.info_type == "numeric" else info

    def _observation(self) -> Any:
        if self._features is not None:
            return self._features.copy()
        seen = {name: value.copy() for name, value in self.observed(self._needed).items()}
        return shown(seen, self.obs_type, self.contract)

    def _info(self, motion: np.ndarray, end_reason: str) -> dict[str, Any]:
        return {
            "reward_terms": dict(zip(REWARD_TERMS, self.outcome.reward_terms[0].tolist())),
            "cost": np.float64(self.outcome.cost[0]),
            "cost_terms": dict(zip(COST_TERMS, self.outcome.cost_terms[0].tolist())),
            "end_reason": end_reason,
            "uncertainty": np.float64(0.0),
            "ego_motion": motion,
            "imagined_steps": 0,
            "context": -1,
            "scenario_tags": self._start_tags,
            **self.cameras.info(),
            **{name: value for name, value in self.scene.extras.items() if name != PICTURES},
        }


def _checked(scene: Scene) -> Scene:
    """The scene; `SimulatorError` if its numbers are not finite, because every comparison with NaN is false."""
    if not scene.finite:
        raise SimulatorError("the simulator gave numbers that are not finite")
    return scene
