"""What a recording is read from, so that a change of any of it is noticed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from learned_sim_env.recordings.formats import module_of


def state_of(path: Path, name: str, apart: Path | None = None) -> str:
    """Tells one state of a recording of the format called `name` from another: by names, sizes and times of all files.

    Files are those of the recording, and what the format reads beside it, as maps; hidden ones do not count, nor does
    what is in the folder `apart`.
    """
    digest, beside = hashlib.sha256(), getattr(module_of(name), "beside", None)
    for place in (path, *(() if beside is None else sorted(beside(path)))):
        for file in _files(place, apart and apart.resolve()):
            # One that cannot be looked at, for want of rights, has its name alone.
            with suppress(OSError):
                about = file.stat()
                digest.update(f"{about.st_size} {about.st_mtime_ns} ".encode())
            digest.update(f"{file.relative_to(place.parent)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(place: Path, apart: Path | None) -> Iterator[Path]:
    if not place.is_dir():
        yield place
    for folder, folders, files in os.walk(place):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (here / n).resolve() != apart)
        yield from (here / n for n in sorted(files) if not n.startswith("."))
