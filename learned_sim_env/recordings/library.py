"""The drives of a folder of recordings, or of an import of them, read when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learned_sim_env.recordings import formats, imported
from learned_sim_env.recordings.drives import Drive, drives_of
from learned_sim_env.recordings.film import Film
from learned_sim_env.recordings.recording import RecordingError
from learned_sim_env.spec import RECORDED_SCENARIOS, TEST_SCENARIOS, Contract, unknown

# Files whose drives are kept in memory.
KEPT = 8


@dataclass(frozen=True)
class Stretch:
    """Moments `first` to `last` of a drive."""

    drive: Drive
    first: int
    last: int


class Library:
    """Drives with a map.

    Args:
        contract: clock and conventions of drives.
        path: a file or folder of recordings, or the folder of an import: then only what is in that.
        recording_format: of the recordings, "": found from what the files look like.
        fit_car: see `drives_of`; of an import, as it was done there.

    Raises:
        ValueError: for an unknown format, where there are no recordings, and where those of an import are gone.
        OSError: if there is nothing at `path`.
    """

    def __init__(self, contract: Contract, path: Path, recording_format: str = "", fit_car: bool = False):
        self._contract, self._fit_car = contract, fit_car
        self._episodes = imported.load(path)
        if self._episodes is None:
            self._files = list(formats.find(path, recording_format or None))
        else:
            self._files = list(dict.fromkeys((e.file, e.format) for e in self._episodes))
            self._fit_car = any(e.fit_car for e in self._episodes)
            if gone := [file for file, _ in self._files if not file.exists()]:
                raise ValueError(
                    f"{len(gone)} of the {len(self._files)} recordings of {path} are not where they were, such as "
                    f"{gone[0]}: put them back, or import them anew"
                )
        if not self._files:
            raise ValueError(f"{path} holds no recordings: {formats.what_else(path)}")
        self._drives: OrderedDict[int, list[Drive]] = OrderedDict()
        self.refused: dict[int, str] = {}

    def clear(self) -> None:
        """Forget the drives."""
        self._drives.clear()

    def drawn(self, seed: int, rng: np.random.Generator) -> Iterator[Stretch]:
        """All drives in an order that is drawn; of an import, the test split for test seeds, else what is for training.

        Raises:
            ValueError: if an import has nothing for seeds like this one.
        """
        if self._episodes is None:
            for number in rng.permutation(len(self._files)):
                drives = self._of(int(number))
                for k in rng.permutation(len(drives)):
                    yield Stretch(drives[int(k)], 0, len(drives[int(k)]))
            return
        split = "test" if seed in TEST_SCENARIOS else "train"
        there = [e for e in self._episodes if e.split == split]
        if not there:
            raise ValueError(f"the import has no episode for {split}, which seeds like {seed} are of: import more logs")
        for k in rng.permutation(len(there)):
            found = self._stretch(there[int(k)])
            if found is not None:
                yield found

    def episode(self, seed: int) -> Stretch:
        """The episode of an import that has a seed of `RECORDED_SCENARIOS`.

        Raises:
            ValueError: if there is none, or no map in it.
        """
        number = seed - RECORDED_SCENARIOS.start
        if self._episodes is None:
            raise ValueError(
                f"seed {seed} is episode {number} of an import: give recordings=DIR, the folder that it was written to"
            )
        if not 0 <= number < len(self._episodes):
            raise ValueError(f"seed {seed} is none of the {len(self._episodes)} episodes of the import")
        found = self._stretch(self._episodes[number])
        if found is None:
            raise ValueError(
                f"episode {seed} is of {self._episodes[number].drive}, which cannot be driven: "
                + ("; ".join(self.refused.values()) or "it has no map")
            )
        return found

    def named(self, log: str, time: float | None) -> tuple[Stretch, int]:
        """The drive that is called `log`, or the one of that recording in which `time` [s] is, and the moment there.

        Raises:
            ValueError: for an unknown log, or a time that is not in it.
        """
        names = []
        for number in range(len(self._files)):
            drives = [d for d in self._of(number) if log in (d.name, d.name.rpartition("/")[0])]
            names += [d.name for d in self._of(number)]
            for drive in drives:
                t = 0 if time is None else round((time - drive.start) / drive.dt)
                if 0 <= t < len(drive):
                    return Stretch(drive, 0, len(drive)), t
            if drives:
                pieces = ", ".join(f"{d.start:.1f} to {d.start + len(d) * d.dt:.1f}" for d in drives)
                raise ValueError(f"time {time} is not in the drives of {log!r}, which are from {pieces} s")
        raise unknown("log", log, names)

    def any(self) -> bool:
        """Whether there is any drive."""
        return any(self._of(number) for number in range(len(self._files)))

    def _stretch(self, episode: imported.ImportedEpisode) -> Stretch | None:
        drives = self._of(self._files.index((episode.file, episode.format)))
        found = next((d for d in drives if d.name == episode.drive), None)
        return None if found is None else Stretch(found, episode.first, episode.last)

    def _of(self, number: int) -> list[Drive]:
        """Drives of a file that have a map, of which the latest used are kept."""
        if number not in self._drives:
            self._drives[number] = self._read(number)
            while len(self._drives) > KEPT:
                self._drives.popitem(last=False)
        self._drives.move_to_end(number)
        return self._drives[number]

    def _read(self, number: int) -> list[Drive]:
        path, name = self._files[number]
        found, reasons = list[Drive](), list[str]()
        try:
            for recording in formats.read(path, name):
                if isinstance(recording, RecordingError):
                    reasons.append(str(recording))
                elif isinstance(recording, Film):
                    reasons.append(f"{recording.name} is a film, and nowhere to drive in")
                elif recording.road is None:
                    reasons.append(f"{recording.name} has no map to drive on")
                else:
                    try:
                        found += drives_of(recording, self._contract, self._fit_car)
                    except RecordingError as error:
                        reasons.append(f"{recording.name}: {error}")
        except (RecordingError, OSError) as error:
            reasons.append(str(error))
        if not found:
            self.refused[number] = "; ".join(reasons) or f"{path.name} is empty"
        return found
