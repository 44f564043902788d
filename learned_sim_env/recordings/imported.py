"""What the episodes of an import are of, so that a simulator of recordings can begin where they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from learned_sim_env.files import write_json
from learned_sim_env.recordings.formats.shared.json_files import load_json
from learned_sim_env.recordings.recording import RecordingError

FILE = "episodes.json"
# What helps where it is not what was written.
ANEW = "run the import again"


@dataclass(frozen=True)
class ImportedEpisode:
    """Moments `first` to `last` of a drive, by its name, of a file of a format.

    split: training, validation or test, as the import has it. fit_car: whether the drive's car was fitted.
    """

    file: Path
    format: str
    drive: str
    first: int
    last: int
    split: str
    fit_car: bool = False


def save(folder: Path, episodes: Sequence[ImportedEpisode]) -> None:
    """Write them into the folder of an import, in the order of their seeds."""
    write_json(folder / FILE, [{**asdict(e), "file": str(e.file.resolve())} for e in episodes])


def is_import(folder: Path) -> bool:
    """Whether a folder is that of an import."""
    return (folder / FILE).is_file()


def load(folder: Path) -> list[ImportedEpisode] | None:
    """The episodes of an import, None if the folder is none.

    Raises:
        RecordingError: for a file that is damaged.
    """
    if not is_import(folder):
        return None
    try:
        return [ImportedEpisode(**{**row, "file": Path(row["file"])}) for row in load_json(folder / FILE, list)]
    except RecordingError as error:
        raise RecordingError(f"{folder}: {error}; {ANEW}") from None
    except (TypeError, KeyError) as error:
        raise RecordingError(f"{folder}: {FILE} has a row that is no episode ({error}); {ANEW}") from None
