"""What cameras see of the starts of drives, drawn by the simulator that they were recorded in, in any appearance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.data.store import key_of, write_npz
from learned_sim_env.data.workers import Task, run_seeds
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.rendering.camera import Appearance
from learned_sim_env.simulators import installed_version
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.twins.approach import approach
from learned_sim_env.twins.pairing import open_twin, twin_settings
from learned_sim_env.version import __version__
from learned_sim_env.world_model.contexts import Contexts

# A start of a bank, by its row, and how the cameras' world looks there; None: as its scenario's seed decides.
Look = tuple[int, Appearance | None]


@dataclass(frozen=True, eq=False)
class StartPictures:
    """Drives the twin to starts and keeps what it shows at their last real moments; called in a worker process, it
    gives the task that does.

    env_id: of a learned environment, whose twin draws. bank: of the starts. names: modalities that are drawn.
    folder: where they are kept. workers: simulator processes. rows: starts that a worker may be given, each with its
    appearances.
    """

    env_id: str
    bank: Contexts
    names: tuple[str, ...]
    folder: Path
    workers: int = 2
    rows: dict[int, tuple[Appearance | None, ...]] = field(default_factory=dict)

    @property
    def lacking(self) -> str | None:
        """What is not there to draw with; None if nothing."""
        simulator = twin_settings(self.env_id)["simulator"]
        return None if installed_version(simulator) else f"{simulator}, which draws its starts, is not installed"

    def unfit(self, rows: Iterable[int]) -> str | None:
        """Why cameras cannot be drawn at some starts; None if they can."""
        if self.lacking is not None:
            return self.lacking
        try:
            self.draw((row, None) for row in rows)
        except RuntimeError as error:
            return str(error)
        return None

    @property
    def kept(self) -> bool:
        """Whether all starts have been drawn as their scenarios' seeds make them look."""
        return all(self.file(row, None).exists() for row in range(len(self.bank)))

    def draw(self, wanted: Iterable[Look], done: Callable[[int], object] | None = None) -> None:
        """Draw those that are not kept yet.

        Args:
            wanted: of which starts, in which appearances.
            done: called with how many more starts are drawn.

        Raises:
            RuntimeError: if simulators cannot start, or the twin does not come to a start.
        """
        rows: dict[int, list[Appearance | None]] = {}
        for row, look in dict.fromkeys(wanted):
            if not self.file(row, look).exists():
                rows.setdefault(row, []).append(look)
        drawing = replace(self, rows={row: tuple(looks) for row, looks in rows.items()})
        with closing(run_seeds(drawing, rows, self.workers)) as results:
            for result in results:
                if result.failure:
                    raise result.failure.error(f"start {result.seed} cannot be drawn by the twin of {self.env_id}")
                if done is not None:
                    done(1)

    def of(self, row: int, look: Appearance | None) -> dict[str, np.ndarray]:
        """By modality (T, *shape) at the T real moments of a start."""
        if not (path := self.file(row, look)).exists():
            self.draw([(row, look)])
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in self.names}

    def completed(self, names: Sequence[str], done: Callable[[int], object] | None = None) -> Contexts:
        """The bank with modalities `names`, of those that are drawn, as the scenarios' own seeds make them look."""
        self.draw([(row, None) for row in range(len(self.bank))], done)
        drawn = [self.of(row, None) for row in range(len(self.bank))]
        seen = {name: np.stack([d[name] for d in drawn]) for name in names}
        return replace(self.bank, observations={**self.bank.observations, **seen})

    def __call__(self) -> Task:
        twin = open_twin(self.env_id)

        def task(row: int) -> int:
            seen = self._drawn(twin, row)
            for look, pictures in zip(self.rows[row], seen):
                write_npz(self.file(row, look), pictures)
            return len(self.bank.replay_actions(row))

        return task

    def file(self, row: int, look: Appearance | None) -> Path:
        """Where the pictures of a start are kept: named after all that they depend on."""
        settings = twin_settings(self.env_id)
        about: list[Any] = [__version__, settings, str(CONTRACTS[settings["contract"]].fingerprints(self.names))]
        about += [installed_version(settings["simulator"]), None if look is None else asdict(look)]
        about += [int(self.bank.scenarios[row]), self.bank.steps]
        return self.folder / f"{key_of(about, [self.bank.replay_actions(row)])}.npz"

    def _drawn(self, twin: TwinDrivingEnv, row: int) -> list[dict[str, np.ndarray]]:
        """The pictures of a start in each of its appearances.

        Raises:
            ValueError: if the twin does not come to the moment where the start was recorded.
        """
        looks = self.rows[row]
        moments: list[list[dict[str, np.ndarray]]] = [[] for _ in looks]
        way = approach(twin, self.bank, row)
        while True:
            try:
                left = next(way)
            except StopIteration as arrived:
                agreement = arrived.value
                break
            if left < self.bank.steps:
                for look, seen in zip(looks, moments):
                    twin.set_appearance(look)
                    seen.append({name: value.copy() for name, value in twin.observed(self.names).items()})
        if not agreement.same:
            raise ValueError(f"the twin does not come to the recorded moment: {agreement}")
        return [{name: np.stack([m[name] for m in seen]) for name in self.names} for seen in moments]
