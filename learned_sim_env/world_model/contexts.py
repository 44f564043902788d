"""Starting contexts: a few real steps each, shipped with a checkpoint so that `reset` needs no simulator."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learned_sim_env.spec import CAMERAS, EGO_FIELDS, RECORDED_SCENARIOS, SCENARIO_TAGS, Contract, unknown

# Real steps in a context.
CONTEXT_STEPS = 5


@dataclass(frozen=True, eq=False)
class Contexts:
    """N moments of recorded driving, with the steps before them, T in all.

    observations: by modality, (N, T, *shape) of its dtype; "ego" is among them. actions: (N, T, 2) float32; action t
    led to observation t. tags: (N, 7) bool, `spec.SCENARIO_TAGS`.
    scenarios: (N,) int64, the simulator's seed of the episode; replay: (M, 2) float32, the actions of those episodes up
    to the contexts' ends, one after the other, context i's from replay_starts[i] to replay_starts[i + 1]: what brings a
    simulator to the same moment.
    """

    observations: Mapping[str, np.ndarray]
    actions: np.ndarray
    tags: np.ndarray
    scenarios: np.ndarray
    replay: np.ndarray
    replay_starts: np.ndarray

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def steps(self) -> int:
        """Real moments in each of them, T."""
        return self.actions.shape[1]

    @property
    def ego(self) -> np.ndarray:
        """(N, T, 6) float32, see `spec.EGO_FIELDS`."""
        return self.observations["ego"]

    @property
    def looks(self) -> list[str]:
        """The light or weather in which each one's cameras were drawn, one of `rendering.camera.CONDITIONS`.

        Twins draw it from the scenario's seed. "" where no camera was drawn: without cameras, and in recordings.
        """
        from learned_sim_env.rendering.camera import Appearance

        if not set(CAMERAS) & set(self.observations):
            return [""] * len(self)
        seeds = self.scenarios.tolist()
        return ["" if seed in RECORDED_SCENARIOS else Appearance.draw(seed).condition for seed in seeds]

    def looking(self, look: str) -> np.ndarray:
        """Contexts that look so; `ValueError` for a look that does not exist or that no context has."""
        from learned_sim_env.rendering.camera import CONDITIONS

        if look not in CONDITIONS:
            raise unknown("appearance", look, CONDITIONS)
        looks = self.looks
        if look not in looks:
            there = ", ".join(name for name in CONDITIONS if name in looks) or "nothing that was drawn by cameras"
            raise ValueError(f"no context of this checkpoint has the appearance {look!r}: they show {there}")
        return np.flatnonzero(np.array(looks) == look)

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

    @staticmethod
    def joined(parts: Sequence[Contexts]) -> Contexts:
        """The moments of all parts, with the modalities and as many steps as all of them have."""
        names = [name for name in parts[0].observations if all(name in part.observations for part in parts)]
        last = slice(-min(part.steps for part in parts), None)
        lengths = [np.diff(part.replay_starts) for part in parts]
        return Contexts(
            {name: np.concatenate([part.observations[name][:, last] for part in parts]) for name in names},
            actions=np.concatenate([part.actions[:, last] for part in parts]),
            replay_starts=np.cumsum([0, *np.concatenate(lengths)]),
            **{n: np.concatenate([getattr(part, n) for part in parts]) for n in ("tags", "scenarios", "replay")},
        )

    def check(self) -> None:
        """`ValueError` if an array has another shape or type than it should, or actions to replay are missing."""
        n, t = len(self), self.steps
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "actions": ((n, t, 2), "f"),
            "tags": ((n, len(SCENARIO_TAGS)), "b"),
            "scenarios": ((n,), "iu"),
            "replay": ((len(self.replay), 2), "f"),
            "replay_starts": ((n + 1,), "iu"),
        }
        if "ego" not in self.observations:
            raise ValueError(f"there is no ego among the observations: {', '.join(self.observations)}")
        for name, (shape, kinds) in shapes.items():
            _check(name, getattr(self, name), shape, kinds)
        for name, found in self.observations.items():
            shape = (n, t, len(EGO_FIELDS)) if name == "ego" else (n, t, *found.shape[2:])
            _check(name, found, shape, "f" if name == "ego" else "uf")
        starts = self.replay_starts
        if starts[0] != 0 or starts[-1] != len(self.replay) or (np.diff(starts) < 0).any():
            raise ValueError(f"replay_starts do not divide {len(self.replay)} actions")

    def check_fit(self, contract: Contract, names: Iterable[str], steps: int) -> None:
        """`ValueError` if a modality is missing, has another shape than the contract's, or moments are too few."""
        for name in names:
            if name not in self.observations:
                raise ValueError(f"the contexts have no {name!r}: they have {', '.join(self.observations)}")
            modality = contract.modality(name)
            _check(name, self.observations[name], (len(self), self.steps, *modality.shape), modality.dtype.kind)
        if self.steps < steps:
            raise ValueError(f"the contexts have {self.steps} moments, the model needs {steps}")

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name: the modalities, and what else is known of the moments."""
        return {**self.observations, **{name: getattr(self, name) for name in _ABOUT}}

    def save(self, path: Path) -> None:
        """Write all arrays to a compressed `.npz`, the same bytes for the same arrays."""
        # LZMA makes pictures three quarters of the size that deflate would, and numpy reads it all the same.
        with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
            for name, array in self.arrays().items():
                info = zipfile.ZipInfo(f"{name}.npy")
                info.compress_type = zipfile.ZIP_LZMA
                with archive.open(info, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)

    @staticmethod
    def load(path: Path) -> Contexts:
        """Read what `save` wrote; `ValueError` if an array is missing, or does not fit the others."""
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _ABOUT if name not in file]
            if missing:
                raise ValueError(f"{path} lacks {', '.join(missing)}")
            observations = {_EARLIER.get(name, name): file[name] for name in file.files if name not in _ABOUT}
            contexts = Contexts(observations, **{name: file[name] for name in _ABOUT})
        try:
            contexts.check()
        except ValueError as error:
            raise ValueError(f"{path} is not whole: {error}") from error
        return contexts


_ABOUT = ("actions", "tags", "scenarios", "replay", "replay_starts")
# Earlier names of modalities in files.
_EARLIER = {"semantic": "bev"}


def _check(name: str, found: np.ndarray, shape: tuple[int, ...], kinds: str) -> None:
    if found.shape != shape or found.dtype.kind not in kinds:
        raise ValueError(f"{name} is {found.dtype} of shape {found.shape}, expected shape {shape}")
