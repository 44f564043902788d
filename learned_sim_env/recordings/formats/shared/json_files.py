"""JSON files of others: size, encoding and the right kind of thing checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from learned_sim_env.recordings.recording import RecordingError

# [bytes]
LARGEST, LARGEST_ROW = 2**30, 2**23


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


def rows_of(path: Path, chunk: int = 2**20) -> Iterator[dict[str, Any]]:
    """The objects of a JSON file that is a list of objects, one by one: tables of some data sets have a gigabyte.

    Raises:
        RecordingError: for one that is missing, or is no whole list of objects; the message names the file.
    """
    if not path.is_file():
        raise RecordingError(f"{path.name} is missing in {path.parent.name}")
    decode, rest, begun = json.JSONDecoder().raw_decode, "", False
    with open(path, encoding="utf-8") as file:
        try:
            while more := file.read(chunk):
                text = rest + more
                at = 0
                if not begun:
                    text = text.lstrip()
                    if not text.startswith("["):
                        raise RecordingError(f"{path.name} is no list of rows")
                    begun, at = True, 1
                while True:
                    while at < len(text) and text[at] in " \t\r\n,":
                        at += 1
                    if at == len(text):
                        rest = ""
                        break
                    if text[at] == "]":
                        return
                    try:
                        row, at = decode(text, at)
                    except json.JSONDecodeError:
                        # Not all of it has been read yet, unless it is no row at all.
                        rest = text[at:]
                        if len(rest) > LARGEST_ROW:
                            raise
                        break
                    if not isinstance(row, dict):
                        raise RecordingError(f"{path.name} has a row that is a {type(row).__name__}, not an object")
                    yield row
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise RecordingError(f"{path.name} is no whole JSON file ({error})") from None
    raise RecordingError(f"{path.name} is no whole JSON file: it ends within a list")
