"""Starting contexts: a few real steps each, shipped with a checkpoint so that `reset` needs no simulator."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from learned_sim_env.spec import EGO_FIELDS, SCENARIO_TAGS, unknown

# Real steps in a context.
CONTEXT_STEPS = 5


@dataclass(frozen=True, eq=False)
class Contexts:
    """N moments of recorded driving, with the steps before them.

    semantic: (N, 5, H, W) uint8 class ids. ego: (N, 5, 6) float32. actions: (N, 5, 2) float32; action t led to
    observation t. tags: (N, 7) bool, `spec.SCENARIO_TAGS`.
    scenarios: (N,) int64, the simulator's seed of the episode; replay: (M, 2) float32, the actions of those episodes up
    to the contexts' ends, one after the other, context i's from replay_starts[i] to replay_starts[i + 1]: what brings a
    simulator to the same moment.
    """

    semantic: np.ndarray
    ego: np.ndarray
    actions: np.ndarray
    tags: np.ndarray
    scenarios: np.ndarray
    replay: np.ndarray
    replay_starts: np.ndarray

    def __len__(self) -> int:
        return len(self.ego)

    def indices(self, tag: str) -> np.ndarray:
        """Contexts that have `tag`; `ValueError` for a tag that does not exist or that no context has."""
        if tag not in SCENARIO_TAGS:
            raise unknown("scenario", tag, SCENARIO_TAGS)
        found = np.flatnonzero(self.tags[:, SCENARIO_TAGS.index(tag)])
        if not len(found):
            raise ValueError(f"no context of this checkpoint has the tag {tag!r}")
        return found

    def replay_actions(self, index: int) -> np.ndarray:
        """(T, 2) float32: what was done from the start of scenario `scenarios[index]` to the end of context `index`."""
        return self.replay[self.replay_starts[index] : self.replay_starts[index + 1]]

    def check(self) -> None:
        """`ValueError` if an array has another shape or type than it should, or actions to replay are missing."""
        n, t = len(self), CONTEXT_STEPS
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "semantic": ((n, t, *self.semantic.shape[2:]), "u"),
            "ego": ((n, t, len(EGO_FIELDS)), "f"),
            "actions": ((n, t, 2), "f"),
            "tags": ((n, len(SCENARIO_TAGS)), "b"),
            "scenarios": ((n,), "iu"),
            "replay": ((len(self.replay), 2), "f"),
            "replay_starts": ((n + 1,), "iu"),
        }
        for name, (shape, kinds) in shapes.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype.kind not in kinds:
                raise ValueError(f"{name} is {found.dtype} of shape {found.shape}, expected shape {shape}")
        starts = self.replay_starts
        if starts[0] != 0 or starts[-1] != len(self.replay) or (np.diff(starts) < 0).any():
            raise ValueError(f"replay_starts do not divide {len(self.replay)} actions")

    def save(self, path: Path) -> None:
        """Write all arrays to a compressed `.npz`."""
        with open(path, "wb") as file:
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @staticmethod
    def load(path: Path) -> Contexts:
        """Read what `save` wrote; `ValueError` if an array is missing, or does not fit the others."""
        with np.load(path, allow_pickle=False) as file:
            missing = [f.name for f in fields(Contexts) if f.name not in file]
            if missing:
                raise ValueError(f"{path} lacks {', '.join(missing)}")
            contexts = Contexts(**{f.name: file[f.name] for f in fields(Contexts)})
        try:
            contexts.check()
        except ValueError as error:
            raise ValueError(f"{path} is not whole: {error}") from error
        return contexts
