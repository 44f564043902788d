"""Where the data that ships with the package lies."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# A wheel carries the folders inside the package; in a checkout or an editable install they stand beside it.
_ROOT = _PACKAGE / "_data" if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent


def as_path(name: str | os.PathLike[str]) -> Path | None:
    """The path that `name` is, or None if it is the bare name of something that ships.

    A path is what is a `Path`, has a separator, or starts with "." or "~". So what happens to lie in the working
    directory never takes the place of what ships, and the other way round.
    """
    if not isinstance(name, str):
        return Path(name)
    separators = [separator for separator in ("/", os.sep, os.altsep) if separator]
    if name.startswith((".", "~")) or any(separator in name for separator in separators) or Path(name).drive:
        return Path(name).expanduser()
    return None


def envs_dir() -> Path:
    """Folder of the environment declarations, one `<id>.toml` each."""
    return _ROOT / "envs"


def checkpoints_dir() -> Path:
    """Folder of the frozen models that ship, one folder each."""
    return _ROOT / "checkpoints"


def recipes_dir() -> Path:
    """Folder of the recipes that make the checkpoints, one `<name>.toml` each."""
    return _ROOT / "recipes"


def suites_dir() -> Path:
    """Folder of the suites of scenarios that ship, one folder each."""
    return _ROOT / "suites"
