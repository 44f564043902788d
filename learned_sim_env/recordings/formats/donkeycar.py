"""Tubs of donkeycar (docs.donkeycar.com): pictures and actions of a toy car, which nobody knows the places of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from learned_sim_env.recordings.recording import Recording, RecordingError


def recognises(path: Path) -> bool:
    """A folder with a tub's manifest and catalogues."""
    return path.is_dir() and (path / "manifest.json").is_file() and any(path.glob("catalog_*.catalog"))


def read(path: Path) -> Iterator[Recording]:
    """Raises `RecordingError`, which says why it cannot be read."""
    raise RecordingError(
        "it is a donkeycar tub, of pictures and actions: where the car was is not in it, and without that there is "
        "neither a path nor a view from above"
    )
