"""What a file of recordings turns into: its drives, their figures, and what is wrong with the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from learned_sim_env.files import DiskFull
from learned_sim_env.recordings import formats
from learned_sim_env.recordings.checks import figures, warnings_of
from learned_sim_env.recordings.drives import Drive, drives_of
from learned_sim_env.recordings.recording import Recording, RecordingError


@dataclass
class Look:
    """Of one file.

    Attributes:
        file: as it was named. format: of it.
        drives: by drive its name, log, why it is left out ("": it is not) and figures, JSON-ready.
        warnings: by recording, sentences.
        refused: sentences, one for each recording that cannot be used, or for the file.
        seconds: of driving.
    """

    file: str
    format: str
    drives: list[dict] = field(default_factory=list)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


def look_at(path: Path, name: str, use: Callable[[Recording, Drive], str] | None = None) -> Look:
    """Read a file of the format called `name` and give every drive in it to `use`; nothing that is wrong is raised.

    What `use` says is why a drive is left out, "" if it is not. What cannot be read now, for want of rights or of a
    package, is refused like what is damaged.

    Raises:
        DiskFull: by `use`.
    """
    look = Look(str(path), name)
    try:
        for found in formats.read(path, name):
            if isinstance(found, RecordingError):
                look.refused.append(str(found))
                continue
            try:
                drives = drives_of(found)
            except RecordingError as error:
                look.refused.append(f"{path.name}: {found.name}: {error}")
                continue
            measured = [figures(drive) for drive in drives]
            for drive, figure in zip(drives, measured):
                why = "" if use is None else use(found, drive)
                look.drives.append({"name": drive.name, "log": drive.log, "left_out": why, **figure.to_dict()})
                look.seconds += len(drive) * drive.dt
            look.warnings[found.name] = warnings_of(found, drives, measured)
    except DiskFull:
        raise
    except RecordingError as error:
        look.refused.append(str(error))
    except (ImportError, OSError) as error:
        look.refused.append(f"{path.name} cannot be read: {error}")
    if not look.drives and not look.refused:
        look.refused.append(f"{path.name} is empty")
    return look
