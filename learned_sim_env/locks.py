"""One command at a time writes into a folder."""

from __future__ import annotations

import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

FILE = ".lock"
# Windows locks bytes against being read as well, so one is locked that is not there.
_FAR = 2**30


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold `folder` exclusively, within this process and against others; it is made if it is not there.

    The system gives it back whatever becomes of the process: a file that a killed one has left locks nothing. Storage
    that cannot lock is used all the same, with a warning.

    Raises:
        BlockingIOError: naming the process that has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with _locked(path) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        try:
            yield
        finally:
            # Windows removes no open file; there it stays.
            with suppress(OSError):
                path.unlink()


def _locked(path: Path) -> IO[str]:
    """The open, locked file at `path`."""
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  the caller closes it
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise BlockingIOError(
                f"{path.parent} is in use by {holder}: wait for it, end it, or give another folder"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{path.parent} cannot be locked ({error}): let no other process write there at the same time",
                stacklevel=4,
            )
            return file
        # The previous holder may have removed the file in between: then it is no longer the one that others lock.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
