"""OpenDRIVE text, checked before CARLA's own code sees it: that takes anything, and may bring down the process."""

from __future__ import annotations

from math import isfinite
from typing import Any
from xml.etree import ElementTree

from learned_sim_env.optional import require

# [m] Longest road, and by how much its length may differ from that of its geometry.
LONGEST, SLACK = 1e5, 1.0


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
        ValueError: for text that is no XML, or no OpenDRIVE, and for roads without id, shape or lanes.
    """
    try:
        # As bytes: a string that declares an encoding would be refused.
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise ValueError(f"{name} is not an OpenDRIVE map: it is no XML ({error})") from error
    if root.tag != "OpenDRIVE":
        raise ValueError(f"{name} is not an OpenDRIVE map: its root is <{root.tag}>, not <OpenDRIVE>")
    roads = root.findall("road")
    if not roads:
        raise ValueError(f"{name} is not a usable OpenDRIVE map: it has no roads")
    known: set[str] = set()
    for i, road in enumerate(roads):
        number = road.get("id", "")
        fault = f"there is another road {number!r}" if number in known else _fault(road)
        if fault:
            raise ValueError(f"{name} is not a usable OpenDRIVE map: road {number!r}, its {i + 1}., {fault}")
        known.add(number)
    return root


def _fault(road: ElementTree.Element) -> str:
    """What is wrong with a road; "" if nothing is."""
    if not road.get("id", "").lstrip("-").isdigit():
        return "has no integer id"
    for part in ("planView/geometry", "lanes/laneSection"):
        if road.find(part) is None:
            return f"has no {part}"
    pieces = road.findall("planView/geometry")
    for piece in pieces:
        for key in ("s", "x", "y", "hdg", "length"):
            if not isfinite(_number(piece, key)):
                return f"has a geometry whose {key} is {piece.get(key)!r}, not a number"
    length, drawn = _number(road, "length"), sum(_number(piece, "length") for piece in pieces)
    if not 0 < length <= LONGEST:
        return f"has length {road.get('length')!r}; more than 0 and at most {LONGEST:g} m are needed"
    if abs(length - drawn) > SLACK:
        return f"has length {length:g} m, but its geometry is {drawn:g} m long"
    return ""


def _number(element: ElementTree.Element, key: str) -> float:
    try:
        return float(element.get(key, "nan"))
    except ValueError:
        return float("nan")
