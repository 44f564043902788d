"""XML files of others: size, entities and well-formedness checked."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from learned_sim_env.recordings.recording import RecordingError

# [bytes]
LARGEST = 256 * 2**20


def load_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        RecordingError: for one that is too large, is not well formed, or declares entities, with which a small file can
            stand for a huge one.
    """
    if path.stat().st_size > LARGEST:
        raise RecordingError(f"{path.name} has more than {LARGEST >> 20} MiB")
    data = path.read_bytes()
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise RecordingError(f"{path.name} declares entities, which no map or scenario needs: it is not read")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise RecordingError(f"{path.name} is no whole XML ({error})") from None
