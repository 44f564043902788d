"""Where the data that ships with the package lies."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# A wheel carries the folders inside the package; in a checkout or an editable install they stand beside it.
_ROOT = _PACKAGE / "_data" if (_PACKAGE / "_data").is_dir() else _PACKAGE.parent


def envs_dir() -> Path:
    """Folder of the environment declarations, one `<id>.toml` each."""
    return _ROOT / "envs"


def checkpoints_dir() -> Path:
    """Folder of the frozen models that ship, one folder each."""
    return _ROOT / "checkpoints"


def suites_dir() -> Path:
    """Folder of the suites of scenarios that ship, one folder each."""
    return _ROOT / "suites"
