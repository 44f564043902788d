"""Rows of imagined episodes: what a learned environment and its vector form have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from learned_sim_env import task
from learned_sim_env.drivers.ray_features import SIZE, RayFeatures
from learned_sim_env.environments import info, snapshots
from learned_sim_env.environments.observations import in_picture, needed, picture, shown
from learned_sim_env.environments.options import checked, real_steps
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.judging import judge
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Start, Starts
from learned_sim_env.spec import CONTRACTS, SCENARIO_TAGS, unknown
from learned_sim_env.world_model.checkpoint import Checkpoint, check_contract, from_pretrained
from learned_sim_env.world_model.protocol import device_of
from learned_sim_env.world_model.torch_state import making

DTYPES = ("float32", "bfloat16")
# Row seeds are drawn below this.
SEED_LIMIT = 2**63


class Episodes:
    """B imagined episodes that advance together, each with its own seed, steps, start and end.

    Args: as `LearnedDrivingEnv`; num_rows is B.

    Attributes:
        records: (B,) of `info.RECORD`, what is known of each row.
    """

    def __init__(
        self,
        num_rows: int,
        checkpoint: str | Path | Checkpoint,
        obs_type: str,
        max_episode_steps: int | None,
        device: str,
        dtype: str,
        temperature: float,
        uncertainty_bound: float | None,
        contract: str | None = None,
        modalities: Sequence[str] | None = None,
    ):
        if contract is not None and contract not in CONTRACTS:
            raise unknown("contract", contract, CONTRACTS)
        wanted = None if contract is None else CONTRACTS[contract]
        if isinstance(checkpoint, str | Path):
            checkpoint = from_pretrained(checkpoint, device=device, contract=wanted)
        elif wanted is not None:
            check_contract(checkpoint, wanted)
        model, self.contract = checkpoint.model, wanted or checkpoint.contract
        self.observation_space = self.contract.observation_space(obs_type, model.latent_size, modalities)
        self._needed = needed(self.contract, obs_type, modalities)
        # The heads give the ego.
        self._drawn = tuple(name for name in self._needed if name != "ego")
        for name in self._drawn:
            if name not in model.draws:
                raise ValueError(
                    f"checkpoint {checkpoint.name} does not draw {name!r}, only {', '.join(model.draws)}: "
                    "ask for these, or take another checkpoint"
                )
        self.max_episode_steps = self.contract.episode_steps(max_episode_steps)
        self.uncertainty_bound = checkpoint.uncertainty_bound if uncertainty_bound is None else uncertainty_bound
        if not self.uncertainty_bound >= 0:
            raise ValueError(f"uncertainty_bound {self.uncertainty_bound!r} is not 0 or more; infinity never truncates")
        self.checkpoint, self.obs_type = checkpoint, obs_type
        # Arguments of an environment with the same episodes, such as a branch.
        self.settings = {
            "checkpoint": checkpoint,
            "obs_type": obs_type,
            "max_episode_steps": max_episode_steps,
            "dtype": dtype,
            "temperature": temperature,
            "uncertainty_bound": uncertainty_bound,
            "contract": contract,
            "modalities": modalities,
        }
        if dtype not in DTYPES:
            raise unknown("dtype", dtype, DTYPES)
        with making():
            if dtype == "bfloat16":
                model = model.in_bfloat16()
            # A checkpoint that was loaded already stays where it is.
            where = device_of(model)
        self._inference = inference = Inference(where, num_rows)
        self._ray_features = RayFeatures(num_rows) if obs_type == "flat" else None
        self._flat = np.zeros((num_rows, SIZE), np.float32)
        self._all = np.arange(num_rows)
        self.rollout = Rollout(model, num_rows, inference, temperature)
        self._starts = Starts(model, checkpoint.contexts, inference, self._drawn)
        self._tags = _tag_names(checkpoint.contexts.tags)
        self._ego_low, self._ego_high = self.contract.modality("ego").limits
        self.records = np.zeros(num_rows, info.RECORD)
        self.records["end"] = -1
        self._warned = False

    def abandon(self, rows: np.ndarray) -> None:
        """End the episodes in `rows` (n,) int64, so that none goes on if the next one fails to begin."""
        self.records["started"][rows], self.records["end"][rows] = False, -1

    def begin(self, rows: np.ndarray, generators: list[np.random.Generator], options: dict[str, Any] | None) -> None:
        """Begin new episodes in `rows` (n,) int64, each drawing its seed, then its context, from its own generator.

        Raises:
            ValueError: for options that are unknown, contradict each other or have wrong values.
        """
        options = checked(options)
        seeds = np.array([g.integers(SEED_LIMIT) for g in generators])
        fresh = np.zeros(1, info.RECORD)
        fresh["context"] = -1
        if "snapshot" in options:
            start, saved = self._opened(options["snapshot"])
            fresh["context"], fresh["imagined_steps"] = saved["context"], saved["imagined_steps"]
        elif "observations" in options:
            seen = (options["observations"], options.get("actions"))
            start = self._starts.from_observations(*real_steps(*seen, self.contract, self.rollout.model.observes))
        else:
            pool = self._contexts(options)
            contexts = np.array([pool[g.integers(len(pool))] for g in generators])
            start, fresh = self._starts.from_contexts(contexts), np.repeat(fresh, len(rows))
            fresh["context"] = contexts
        fresh["end"], fresh["started"], fresh["ego"] = -1, True, self._clipped(start.ego)
        self.rollout.start(rows, start, seeds)
        self.records[rows] = fresh
        if self._ray_features is not None:
            self._flat[rows] = self._ray_features.begin(self._classes(rows), rows)

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take one step in every row under `actions` (B, 2) float32 in [-1, 1].

        Returns:
            rewards (B,) float64, terminated (B,) bool and truncated (B,) bool.
        """
        imagined = self.rollout.step(actions)
        finite, everywhere, r = imagined.finite, imagined.everywhere, self.records
        if not everywhere:
            self._warn(self.running & ~finite)
        if self._drawn:  # in all rows at once, before any of them begins a new episode
            self.rollout.draw(self._drawn)
        late = self.rollout.steps >= self.max_episode_steps
        judged = judge(imagined, self.contract, self.uncertainty_bound, late)
        imagined, outcome = judged.imagined, judged.outcome
        rewards = outcome.reward.astype(np.float64)
        r["reward_terms"], r["cost_terms"] = outcome.reward_terms, outcome.cost_terms
        r["end"], r["ego_motion"] = judged.end, imagined.motion
        # Rows that are not finite keep their last values.
        ego, known = self._clipped(imagined.ego), slice(None) if everywhere else finite
        r["ego"][known], r["uncertainty"][known] = ego[known], imagined.uncertainty[known]
        r["imagined_steps"] += 1
        r["reward_total"] += rewards
        r["cost_total"] += outcome.cost
        if self._ray_features is not None:
            self._flat = self._ray_features.update(self._classes(self._all), np.zeros_like(late))
        return rewards, judged.terminated, judged.truncated

    @property
    def running(self) -> np.ndarray:
        """(B,) bool: rows that can take a step."""
        return self.records["started"] & (self.records["end"] < 0)

    @property
    def ended(self) -> np.ndarray:
        """(B,) bool: rows whose episode has ended, and in which no new one has begun."""
        return self.records["end"] >= 0

    def observe(self, rows: np.ndarray) -> Any:
        """Observations of `rows` (n,) int64 in the form that `obs_type` asks for, sharing no memory with anything."""
        if self.obs_type == "latent":
            features = self.rollout.features()[rows]
            lost = self.records["end"][rows] == task.NOT_FINITE
            if lost.any():  # if even the start was not finite, neither is the last observation
                features[lost] = np.nan_to_num(features[lost])
            return features
        if self.obs_type == "flat":
            return self._flat[rows]
        return shown(self._seen(rows, self._needed), self.obs_type, self.contract)

    def check_begun(self) -> None:
        """`ResetNeeded` if there was never an episode in any row."""
        if not self.records["started"].any():
            raise ResetNeeded("call reset() first: there is nothing to be seen")

    def frames(self) -> np.ndarray:
        """(B, H, W, 3) uint8 RGB, drawing rows that were not drawn yet; see `observations.picture`.

        Raises:
            ResetNeeded: if there was never an episode in any row.
        """
        self.check_begun()
        names = in_picture(self.contract, self.rollout.model.draws)
        return picture(self._seen(np.arange(len(self.rollout)), names), self.contract)

    def info(self, row: int) -> dict[str, Any]:
        """The info of one row, see `info.single`."""
        return info.single(self.records[row], self._tags)

    def infos(self, mask: np.ndarray) -> dict[str, Any]:
        """The infos of the rows in `mask` (B,) bool, see `info.batched`."""
        return info.batched(self.records, self._tags, mask)

    def snapshot(self, row: int) -> dict[str, Any]:
        """Everything about a row and the checkpoint it belongs to, see `snapshots.taken`.

        Raises:
            ResetNeeded: if the row was never reset.
        """
        if not self.records["started"][row]:
            raise ResetNeeded("call reset() first: there is no episode to take a snapshot of")
        past = None if self._ray_features is None else self._ray_features.past[:, row]
        return snapshots.taken(self.rollout, row, self.records[row], self.checkpoint, past)

    def restore(self, rows: np.ndarray, snapshot: dict[str, Any], seeds: np.ndarray | None = None) -> None:
        """Put `rows` (n,) int64 where a snapshot was taken; other `seeds` (n,) int64 give them other futures.

        Raises:
            ValueError: for anything but a complete snapshot of this checkpoint. Then nothing has changed.
        """
        start, record = self._opened(snapshot)
        self.rollout.start(rows, start, snapshot["seed"] if seeds is None else seeds, snapshot["step"])
        self.records[rows] = record
        if self._ray_features is None:
            return
        # Earlier observations are in snapshots of this obs_type only.
        if "sight" in snapshot:
            self._flat[rows] = self._ray_features.restore(self._classes(rows), rows, snapshot["sight"])
        else:
            self._flat[rows] = self._ray_features.begin(self._classes(rows), rows)

    def _seen(self, rows: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Modalities of `rows` (n,) int64, copied."""
        return {n: self.records["ego"][rows] if n == "ego" else self.rollout.drawn(n, rows) for n in names}

    def _classes(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The modalities that a flat observation is computed from."""
        return shown(self._seen(rows, self._needed), "classes", self.contract)

    def _warn(self, lost: np.ndarray) -> None:
        """Warn, once, if the model gave numbers that are not finite in some rows (B,) bool."""
        if lost.any() and not self._warned:
            self._warned = True
            row = int(lost.argmax())
            gym.logger.warn(
                f"the model gave numbers that are not finite in row {row}, step {self.rollout.steps[row]}: such "
                "episodes are truncated with end_reason 'not_finite' (told once)"
            )

    def _opened(self, snapshot: Any) -> tuple[Start, np.ndarray]:
        """The start and the record, (1,) of `info.RECORD`, in a snapshot; see `snapshots.opened`."""
        snapshot, record = snapshots.opened(snapshot, self.rollout, self.checkpoint)
        return Start.from_snapshot(self.rollout.model, self._inference, snapshot, record["ego"][0]), record

    def _contexts(self, options: dict[str, Any]) -> np.ndarray:
        """Indices of the contexts to draw from."""
        contexts, known = self.checkpoint.contexts, len(self._tags) - 1
        if "context" not in options:
            pool = contexts.indices(options["scenario"]) if "scenario" in options else np.arange(known)
            if "appearance" not in options:
                return pool
            both = np.intersect1d(pool, contexts.looking(options["appearance"]))
            if not len(both):
                tag, look = options["scenario"], options["appearance"]
                raise ValueError(f"no context of this checkpoint has the tag {tag!r} and the appearance {look!r}")
            return both
        context = options["context"]
        if isinstance(context, bool) or not isinstance(context, int | np.integer):
            raise ValueError(f"option 'context' must be an integer, got {context!r}")
        if not 0 <= context < known:
            raise ValueError(f"option 'context' is {context}: the checkpoint has contexts 0 to {known - 1}")
        return np.array([context])

    def _clipped(self, ego: np.ndarray) -> np.ndarray:
        return np.minimum(np.maximum(ego, self._ego_low), self._ego_high)


def _tag_names(tags: np.ndarray) -> np.ndarray:
    """(N + 1,) tuples of the tags' names from (N, 7) bool; the last one is empty."""
    names = np.empty(len(tags) + 1, dtype=object)
    names[:] = [tuple(name for name, has in zip(SCENARIO_TAGS, row) if has) for row in [*tags, ()]]
    return names
