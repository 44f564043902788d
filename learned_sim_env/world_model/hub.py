"""Checkpoints on the Hugging Face hub, named `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION`.

The scheme distinguishes them from folders, and nothing is downloaded without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from learned_sim_env.optional import require

SCHEME = "hf://"
_FORM = re.compile(rf"{SCHEME}([\w.-]+/[\w.-]+)(?:@(.+))?")


@dataclass(frozen=True)
class HubId:
    """A repository of the hub. revision: a branch, a tag or a commit; None: the newest one."""

    repository: str
    revision: str | None = None

    @staticmethod
    def parse(name: str) -> HubId | None:
        """The id that `name` is, or None if it does not begin with the scheme; `ValueError` if it is malformed."""
        if not name.startswith(SCHEME):
            return None
        if (found := _FORM.fullmatch(name)) is None:
            raise ValueError(f"{name!r} is not of the form {SCHEME}OWNER/NAME or {SCHEME}OWNER/NAME@REVISION")
        return HubId(*found.groups())

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + (f"@{self.revision}" if self.revision else "")

    def cached(self, files: tuple[str, ...]) -> Path | None:
        """The folder of `files` if they were downloaded before; without a connection.

        Raises:
            ImportError: if huggingface_hub is not installed.
        """
        hub = _hub()
        try:
            folder = Path(hub.snapshot_download(self.repository, revision=self.revision, local_files_only=True))
        except _errors().LocalEntryNotFoundError:
            return None
        return folder if all((folder / name).is_file() for name in files) else None

    def download(self, files: tuple[str, ...]) -> Path:
        """The folder of `files`, downloaded where the hub has newer ones than the cache.

        Raises:
            ImportError: if huggingface_hub is not installed.
            FileNotFoundError: if the hub has no such repository or revision.
            ConnectionError: if the hub cannot be reached.
        """
        hub, errors = _hub(), _errors()
        try:
            folder = hub.snapshot_download(self.repository, revision=self.revision, allow_patterns=list(files))
        except errors.RevisionNotFoundError as error:
            raise FileNotFoundError(f"{self.repository} has no revision {self.revision!r} on the hub") from error
        except errors.RepositoryNotFoundError as error:
            raise FileNotFoundError(
                f"there is no {self.repository} on the hub, or it is private: check the name, or run `hf auth login`"
            ) from error
        except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError) as error:
            raise ConnectionError(f"{self} is not in the cache, and the hub does not give it: {error}") from error
        return Path(folder)


def _hub() -> ModuleType:
    return require("huggingface_hub", extra="hub")


def _errors() -> ModuleType:
    # The errors have moved, but every version exports them here.
    return require("huggingface_hub.utils", extra="hub")
