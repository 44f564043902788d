"""OpenDRIVE text, checked before CARLA's own code sees it: that takes anything, and may bring down the process."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from learned_sim_env.opendrive_faults import faults
from learned_sim_env.optional import require

# Marks at the beginning of a file that say its encoding, those that begin with another one first.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# The encoding that an XML declaration names.
DECLARED = re.compile(r"""(<\?xml[^>]*?encoding\s*=\s*["'])([^"']*)""")


def read_opendrive(path: Path | str) -> str:
    """The text of an OpenDRIVE file in the encoding that its mark or its XML declaration says, else UTF-8.

    The declaration of the text says UTF-8: what is sent to a server or written again is UTF-8.

    Raises:
        OSError: if it cannot be read.
        ValueError: for an unknown encoding, and bytes that are not of the encoding.
    """
    data = Path(path).read_bytes()
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "")
    if not encoding:
        found = DECLARED.match(data[:200].decode("latin-1"))
        encoding = found[2] if found else "utf-8"
    try:
        text = data.decode(encoding)
    except LookupError:
        raise ValueError(f"{path}: unknown encoding {encoding!r}: save it as UTF-8") from None
    except UnicodeError as error:
        raise ValueError(
            f"{path} is no {encoding} text ({error}): let its XML declaration name its encoding, or save it as UTF-8"
        ) from error
    return DECLARED.sub(r"\1utf-8", text, count=1)


def open_map(name: str, text: str) -> tuple[Any, ElementTree.Element]:
    """`carla.Map` of OpenDRIVE text, which needs no server, and the root of its XML.

    Raises:
        ValueError: for text that is no map, or has no lane to drive on.
        ImportError: if CARLA's client is not installed.
    """
    carla, root = require("carla", extra="carla"), check_opendrive(name, text)
    try:
        found = carla.Map(name, text)
        topology = found.get_topology()
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"{name} is not a usable OpenDRIVE map: CARLA cannot read it ({error})") from error
    if not topology:
        raise ValueError(f"{name} is not a usable OpenDRIVE map: it has no lane to drive on")
    return found, root


def check_opendrive(name: str, text: str) -> ElementTree.Element:
    """The root of OpenDRIVE text that has what CARLA takes for granted; `name` is what errors call it.

    Raises:
        ValueError: for text that is no XML, or no OpenDRIVE, and for a road that CARLA's code would die of.
    """
    try:
        # The text is decoded: whatever encoding it still declares is that of the file it came from.
        root = ElementTree.fromstring(text.encode(), ElementTree.XMLParser(encoding="utf-8"))
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} is not an OpenDRIVE map: it is no Unicode text ({error})") from error
    except ElementTree.ParseError as error:
        raise ValueError(f"{name} is not an OpenDRIVE map: it is no XML ({error})") from error
    if root.tag != "OpenDRIVE":
        raise ValueError(f"{name} is not an OpenDRIVE map: its root is <{root.tag}>, not <OpenDRIVE>")
    if root.find("road") is None:
        raise ValueError(f"{name} is not a usable OpenDRIVE map: it has no roads")
    for fault in faults(root):
        raise ValueError(f"{name} is not a usable OpenDRIVE map: {fault}")
    return root
