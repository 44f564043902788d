"""Many learned environments in one: one forward pass of the world model for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from learned_sim_env.environments.actions import to_continuous
from learned_sim_env.environments.episodes import Episodes
from learned_sim_env.environments.info import numeric
from learned_sim_env.environments.made import Made
from learned_sim_env.environments.observations import replace, take, tiled
from learned_sim_env.environments.rows import Rows
from learned_sim_env.spec import INFO_TYPES, unknown
from learned_sim_env.world_model.checkpoint import Checkpoint


class LearnedDrivingVectorEnv(Made, Rows, VectorEnv):
    """`num_envs` independent `LearnedDrivingEnv` rows that share one batch.

    Behaves as `gymnasium.vector.SyncVectorEnv` over single environments does: seeds, infos with their `_key` masks,
    `final_obs` and `final_info`, `options={"reset_mask": ...}`, `call`, `get_attr` and `set_attr`. A row's future
    depends on its own seed and actions only, and is bit for bit that of a single environment, within the limits that
    `imagination.rollout.Rollout` states. A model call takes at most one thread of the CPU for every 16 rows. An episode
    that ended in mode DISABLED must be reset before the next step.

    Args:
        num_envs: rows.
        autoreset_mode: a `gymnasium.vector.AutoresetMode` or its value.
        (others): as `LearnedDrivingEnv`. `render` returns one frame a row, and shows them tiled in mode "human".

    Raises:
        ValueError: for a wrong argument.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 10}

    def __init__(
        self,
        num_envs: int = 1,
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
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        contract: str | None = None,
        modalities: Sequence[str] | None = None,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs {num_envs!r} is less than 1")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown("render_mode", render_mode, self.metadata["render_modes"])
        if info_type not in INFO_TYPES:
            raise unknown("info_type", info_type, INFO_TYPES)
        modes = {mode.value: mode for mode in AutoresetMode}
        if not isinstance(autoreset_mode, AutoresetMode) and autoreset_mode not in modes:
            raise unknown("autoreset_mode", autoreset_mode, modes)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode, self.action_type = num_envs, render_mode, action_type
        self.info_type = info_type
        self.episodes = Episodes(
            num_envs,
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
        self.single_observation_space = self.episodes.observation_space
        self.single_action_space = self.contract.action_space(action_type)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._all = np.arange(num_envs)
        self._generators: list[tuple[np.random.Generator, int]] = []
        self._window: Any = None

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Every row's generator, from which its resets draw."""
        return tuple(generator for generator, _ in self._seeded())

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the rows' generators."""
        return tuple(seed for _, seed in self._seeded())

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes in all rows, or in those of `options["reset_mask"]` (num_envs,) bool.

        Args:
            seed: row i is seeded with seed + i; or one seed (or None) a row; None: the rows' generators go on.
            options: those of `LearnedDrivingEnv.reset`, for every row, and `reset_mask`.

        Returns:
            Observations of all rows, and the infos of those that were reset.

        Raises:
            ValueError: for wrong options, or seeds of another length. After that there is no episode in these rows
                until a reset succeeds.
            TypeError: for a `reset_mask` that is not a bool array.
        """
        options = dict(options or {})
        mask = self._checked_mask(options.pop("reset_mask", np.ones(self.num_envs, bool)))
        self.episodes.abandon(np.flatnonzero(mask))
        if seed is None or isinstance(seed, int | np.integer):
            seeds = [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} rows: give one a row")
        generators = self._seeded()
        for i in np.flatnonzero(mask):
            if seeds[i] is not None:
                generators[i] = seeding.np_random(seeds[i])
        self._begin(mask, options)
        self._show()
        return self.episodes.observe(self._all), self._formatted(self.episodes.infos(mask))

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one step in every row.

        Args:
            actions: (num_envs, 2) float32 `[steer, throttle_brake]`, clipped to [-1, 1]; or (num_envs,) integers.

        Returns:
            Observations, rewards (num_envs,) float64, terminations and truncations (num_envs,) bool, and infos.

        Raises:
            ResetNeeded: if a row was never reset or, in mode DISABLED, has ended.
            ValueError: for actions of another shape or type, or that are not finite.
        """
        ended, mode = self.episodes.ended, self.autoreset_mode
        waiting = ~self.episodes.running if mode is AutoresetMode.DISABLED else ~(self.episodes.running | ended)
        if waiting.any():
            raise ResetNeeded(f"call reset() first: no episode is running in rows {np.flatnonzero(waiting).tolist()}")
        rewards, terminations, truncations = self.episodes.advance(
            to_continuous(actions, self.action_type, self.num_envs)
        )
        if mode is AutoresetMode.NEXT_STEP and ended.any():
            self._begin(ended)
            rewards[ended], terminations[ended], truncations[ended] = 0.0, False, False
        observations, infos = self.episodes.observe(self._all), {}
        over = self.episodes.ended
        if mode is AutoresetMode.SAME_STEP and over.any():
            infos = self._final(observations, over)
            self._begin(over)
            replace(observations, over, self.episodes.observe(np.flatnonzero(over)))
        self._show()
        infos = self._formatted({**infos, **self.episodes.infos(np.ones_like(over))})
        return observations, rewards, terminations, truncations, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One (H, W, 3) uint8 frame a row in mode "rgb_array"; shows all of them in a window in mode "human".

        Raises:
            ResetNeeded: before the first reset.
        """
        if self.render_mode == "rgb_array":
            return tuple(self.episodes.frames())
        if self.render_mode == "human":
            self._show()
        return None

    def close_extras(self) -> None:
        """Close the window."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def snapshot(self, row: int) -> dict[str, Any]:
        """The whole state of a row: a small dict that can be pickled, see `LearnedDrivingEnv.snapshot`."""
        return self.episodes.snapshot(row)

    def restore(self, row: int, snapshot: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Put a row where a snapshot was taken; its observation and info, as of a single environment.

        Raises:
            ValueError: for a snapshot of another checkpoint or format, or an incomplete one. Then nothing has changed.
        """
        rows = np.array([row])
        self.episodes.restore(rows, snapshot)
        return take(self.episodes.observe(rows), 0), self._formatted(self.episodes.info(row))

    def branch(self, row: int, n: int, seeds: Sequence[int] | None = None) -> LearnedDrivingVectorEnv:
        """n rows at the present moment of `row`, see `LearnedDrivingEnv.branch`."""
        settings = {**self.episodes.settings, "action_type": self.action_type, "info_type": self.info_type}
        return self.from_snapshot(self.snapshot(row), n, seeds, **settings)

    @classmethod
    def from_snapshot(
        cls, snapshot: dict[str, Any], num_envs: int, seeds: Sequence[int] | None = None, **settings: Any
    ) -> LearnedDrivingVectorEnv:
        """`num_envs` rows where a snapshot was taken, ready to be stepped, with render mode "rgb_array".

        Args:
            snapshot: from an environment with the same checkpoint.
            seeds: one noise seed a row; None: all rows keep the snapshot's, and differ by their actions only.
            settings: arguments of the constructor.

        Raises:
            ValueError: for a snapshot of another checkpoint, or seeds of another length.
        """
        if seeds is not None and len(seeds) != num_envs:
            raise ValueError(f"{len(seeds)} seeds for {num_envs} rows: give one a row")
        env = cls(num_envs, **{"render_mode": "rgb_array", **settings})
        env.episodes.restore(env._all, snapshot, None if seeds is None else np.array(seeds, np.int64))
        env._generators = [seeding.np_random(seed) for seed in range(num_envs)]
        return env

    def _seeded(self) -> list[tuple[np.random.Generator, int]]:
        if not self._generators:
            self._generators = [seeding.np_random() for _ in range(self.num_envs)]
        return self._generators

    def _begin(self, mask: np.ndarray, options: dict[str, Any] | None = None) -> None:
        rows, generators = np.flatnonzero(mask), self._seeded()
        self.episodes.begin(rows, [generators[i][0] for i in rows], options)

    def _final(self, observations: Any, over: np.ndarray) -> dict[str, Any]:
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(over):
            final[i] = take(observations, int(i))
        return {
            "final_obs": take(observations, slice(None)) if self.info_type == "numeric" else final,
            "_final_obs": over.copy(),
            "final_info": self.episodes.infos(over),
            "_final_info": over.copy(),
        }

    def _formatted(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Infos in the form that `info_type` asks for."""
        return numeric(infos) if self.info_type == "numeric" else infos

    def _checked_mask(self, mask: Any) -> np.ndarray:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"option 'reset_mask' must be a NumPy array of bool, got {mask!r}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"option 'reset_mask' must have shape ({self.num_envs},) and a True value, got {mask!r}")
        return mask

    def _show(self) -> None:
        if self.render_mode == "human":
            from learned_sim_env.display.window import Window

            if self._window is None:
                self._window = Window(self.spec.id if self.spec else "dream", self.metadata["render_fps"])
            self._window.show_picture(tiled(self.episodes.frames()))
