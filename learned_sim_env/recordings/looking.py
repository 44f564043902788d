"""What a file of recordings turns into: its drives, their figures, and what is wrong with the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.files import DiskFull
from learned_sim_env.recordings import formats
from learned_sim_env.recordings.checks import BINS, figures, warnings_of
from learned_sim_env.recordings.drives import Drive, drives_of
from learned_sim_env.recordings.film import LACKS, Film, Footage, footage_of
from learned_sim_env.recordings.recording import Recording, RecordingError
from learned_sim_env.recordings.views import NO_VIEWS, Views, views_of
from learned_sim_env.spec import CONTRACTS

# What a drive may lack: what that means for a data set.
LACKING = {
    "path": "a film: one camera's pictures in a data set, and nothing else",
    "map": "without a map: no view from above, reward, events or tags in a data set",
    "others": "without other road users: no view from above, agents or tags in a data set",
    "actions": "with actions that a car could not have done, or that were not recorded: masked in a data set",
}


@dataclass
class Look:
    """Of one file.

    Attributes:
        file: as it was named. format: of it.
        drives: by drive its name, log, what of `LACKING` holds of it, by camera of the contract the share of pixels
            that were recorded, and figures, JSON-ready.
        recordings: by recording, what was recorded, JSON-ready, see `recorded`.
        warnings: by recording, sentences.
        refused: sentences, one for each recording that cannot be used, or for the file.
        seconds: of driving.
    """

    file: str
    format: str
    drives: list[dict] = field(default_factory=list)
    recordings: dict[str, dict] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


def look_at(
    path: Path, name: str, use: Callable[[Drive | Footage, Views], None] | None = None, fit_the_car: bool = False
) -> Look:
    """Read a file of the format called `name` and give every drive in it, and what cameras saw, to `use`; of a film its
    pieces.

    Nothing that is wrong is raised. fit_the_car: see `drives_of`.

    What cannot be read now, for want of rights or of a package, is refused like what is damaged.

    Raises:
        DiskFull: by `use`.
    """
    look = Look(str(path), name)
    try:
        for found in formats.read(path, name):
            if isinstance(found, RecordingError):
                look.refused.append(str(found))
                continue
            if isinstance(found, Film):
                _look_at_film(look, found, use)
                continue
            try:
                drives = drives_of(found, fit_the_car=fit_the_car)
            except RecordingError as error:
                look.refused.append(f"{path.name}: {found.name}: {error}")
                continue
            measured, said = [figures(drive) for drive in drives], list[str]()
            for drive, figure in zip(drives, measured):
                views = views_of(found.cameras, drive, read=use is not None) if found.cameras else NO_VIEWS
                if use is not None:
                    use(drive, views)
                about = {"name": drive.name, "log": drive.log, "lacking": _lacking(drive), "cameras": views.covered}
                said += [note for note in views.notes if note not in said]
                look.drives.append({**about, **figure.to_dict()})
                look.seconds += len(drive) * drive.dt
            look.recordings[found.name] = recorded(found)
            look.warnings[found.name] = [*warnings_of(found, drives, measured), *said]
    except DiskFull:
        raise
    except RecordingError as error:
        look.refused.append(str(error))
    except (ImportError, OSError) as error:
        look.refused.append(f"{path.name} cannot be read: {error}")
    if not look.drives and not look.refused:
        look.refused.append(f"{path.name} is empty")
    return look


def recorded(recording: Recording) -> dict:
    """What was recorded, whatever becomes of it.

    seconds: from the first place of the ego to the last. rate: of its places, in a second, the usual one. gap: longest
    time [s] between two. signals: names of what was measured on the car. others: how many other road users there are,
    None where they were not recorded. map: whether there is one. lights: how many of which something is known.
    sources: where labels are from, by what they are of.
    """
    steps = np.diff(recording.ego.times)
    missing = {"tracks" if recording.tracks is None else "", "" if recording.lights else "lights"}
    return {
        "seconds": recording.seconds,
        "rate": float(1 / np.median(steps)),
        "gap": float(steps.max()),
        "signals": sorted(recording.signals),
        "others": None if recording.tracks is None else len(recording.tracks),
        "map": recording.road is not None,
        "lights": len(recording.lights),
        "sources": {what: source for what, source in recording.sources.items() if what not in missing},
    }


def _look_at_film(look: Look, film: Film, use: Callable[[Drive | Footage, Views], None] | None) -> None:
    """Its pieces, of which nothing but pictures is known."""
    unknown: dict[str, Any] = {"sources": ("none", "none"), "tags": None, "cameras": {}}
    histograms = {name: [0] * (len(edges) - 1) for name, edges in BINS.items()}
    for piece in footage_of(film):
        if use is not None:
            use(piece, NO_VIEWS)
        about = {"name": piece.name, "log": piece.log, "lacking": list(LACKS), "steps": len(piece)}
        look.drives.append({**about, **unknown, "histograms": histograms})
        look.seconds += len(piece) * CONTRACTS["driving-camera"].dt


def _lacking(drive: Drive) -> list[str]:
    """Names in `LACKING`."""
    lacks = {
        "map": not drive.has_map,
        "others": drive.others is None,
        "actions": not drive.controls.valid.all(),
    }
    return [name for name, lacking in lacks.items() if lacking]
