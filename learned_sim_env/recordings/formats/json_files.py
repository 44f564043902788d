"""JSON files of others: size, encoding and the right kind of thing checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from learned_sim_env.recordings.recording import RecordingError

# [bytes]
LARGEST = 2**30


def load_json(path: Path, kind: type = dict) -> Any:
    """What a JSON file holds, a `kind`.

    Raises:
        RecordingError: for one that is missing, too large, no JSON or another kind of thing; it names the file.
    """
    if not path.is_file():
        raise RecordingError(f"{path.name} is missing in {path.parent.name}")
    if path.stat().st_size > LARGEST:
        raise RecordingError(f"{path.name} has more than {LARGEST >> 20} MiB")
    try:
        found = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecordingError(f"{path.name} is no whole JSON file ({error})") from None
    except RecursionError:
        raise RecordingError(f"{path.name} is nested too deeply") from None
    if not isinstance(found, kind):
        raise RecordingError(f"{path.name} holds a {type(found).__name__}, not a {kind.__name__}")
    return found


def begins_with(path: Path, *words: bytes, within: int = 4096) -> bool:
    """Whether a file is JSON, by its first byte, that has all `words` in its first bytes."""
    with open(path, "rb") as file:
        head = file.read(within)
    return head.lstrip()[:1] in (b"{", b"[") and all(word in head for word in words)
