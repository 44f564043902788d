"""What is wrong with an OpenDRIVE map: what CARLA's own code takes for granted, and dies or fails without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from xml.etree import ElementTree

# [m] Longest road, and by how much its length may differ from that of its geometry.
LONGEST, SLACK = 1e5, 1.0
# What lies at an `s` of a road, and which other attributes of it have to be numbers.
PLACED = (
    *("planView/geometry", "elevationProfile/elevation", "lanes/laneOffset", "lanes/laneSection"),
    *("objects/object", "signals/signal", "signals/signalReference"),
)
NUMBERS = ("a", "b", "c", "d", "t", "hOffset", "pitch")
# What a piece of geometry can be.
SHAPES = ("line", "arc", "spiral", "poly3", "paramPoly3")

# Ids of the lanes of each lane section of a road, by the road's id.
Lanes = dict[int, list[set[int]]]


def faults(root: ElementTree.Element) -> Iterator[str]:
    """What is not as it has to be, road by road."""
    roads, known = root.findall("road"), set()
    names = [f"road {road.get('id', '')!r}, its {i + 1}.," for i, road in enumerate(roads)]
    for road, name in zip(roads, names):
        number = road.get("id", "")
        fault = f"there is another road {number!r}" if number in known else _fault(road)
        known.add(number)
        if fault:
            # Links between roads mean nothing where one of them is not sound.
            yield f"{name} {fault}"
            return
    lanes: Lanes = {int(road.get("id", "")): [_lanes(s) for s in road.findall("lanes/laneSection")] for road in roads}
    junctions = {junction.get("id", "") for junction in root.findall("junction")}
    yield from (f"{name} {fault}" for road, name in zip(roads, names) if (fault := _link_fault(road, lanes, junctions)))
    signals = {signal.get("id", "") for signal in root.iter("signal")}
    for holder, part, key in (("controller", "control", "signalId"), ("road", "signals/signalReference", "id")):
        for element in root.findall(holder):
            for named in (n.get(key, "") for n in element.findall(part)):
                if named not in signals:
                    yield f"{holder} {element.get('id', '')!r} names signal {named!r}, which is not there"


def _fault(road: ElementTree.Element) -> str:
    """What is wrong with a road by itself; "" if nothing is."""
    if not _is_integer(road.get("id", "")):
        return "has no integer id"
    for part in ("planView/geometry", "lanes/laneSection"):
        if road.find(part) is None:
            return f"has no {part}"
    length = _number(road, "length")
    if not 0 < length <= LONGEST:
        return f"has length {road.get('length')!r}; more than 0 and at most {LONGEST:g} m are needed"
    for part in PLACED:
        for piece in road.findall(part):
            if not 0.0 <= _number(piece, "s") <= length + SLACK:
                return f"has a {part} at s={piece.get('s')!r}, which is not on its {length:g} m"
            if not all(isfinite(_number(piece, key, "0")) for key in NUMBERS):
                return f"has a {part} at s={piece.get('s')} that is not numbers"
    return _shape_fault(road, length) or next(filter(None, map(_lane_fault, road.findall("lanes/laneSection"))), "")


def _shape_fault(road: ElementTree.Element, length: float) -> str:
    pieces = road.findall("planView/geometry")
    for piece in pieces:
        for key in ("x", "y", "hdg", "length"):
            if not isfinite(_number(piece, key)):
                return f"has a geometry whose {key} is {piece.get(key)!r}, not a number"
        if not any(child.tag in SHAPES for child in piece):
            return f"has a geometry at s={piece.get('s')} without a shape: one of {', '.join(SHAPES)} is needed"
        arc = piece.find("arc")
        if arc is not None and not 0.0 < abs(_number(arc, "curvature")) < float("inf"):
            return f"has an arc at s={piece.get('s')} whose curvature is {arc.get('curvature')!r}: make it a line"
    heights = road.findall("elevationProfile/elevation")
    if heights and min(_number(height, "s") for height in heights) > 0.0:
        return "has an elevationProfile that does not begin at s=0"
    drawn = sum(_number(piece, "length") for piece in pieces)
    return f"has length {length:g} m, but its geometry is {drawn:g} m long" if abs(length - drawn) > SLACK else ""


def _lane_fault(section: ElementTree.Element) -> str:
    place, known = f"in its laneSection at s={section.get('s')}", {0}
    middle = section.find("center/lane")
    if middle is None or middle.get("id") != "0":
        return f"has no lane 0 in the center {place}"
    for side, sign in (("left", 1), ("right", -1)):
        for lane in section.findall(f"{side}/lane"):
            number = lane.get("id", "")
            if not _is_integer(number) or int(number) * sign <= 0:
                return f"has a lane {number!r} {place}: ids on the {side} are {'above' if sign > 0 else 'below'} 0"
            if int(number) in known:
                return f"has two lanes {number} {place}"
            known.add(int(number))
            widths = lane.findall("width")
            if not any(_number(width, "sOffset", "0") == 0.0 for width in widths):
                return f"has a lane {number} without a <width> at its beginning {place}"
            if not all(isfinite(_number(width, key, "0")) for width in widths for key in "abcd"):
                return f"has a lane {number} with a <width> that is not numbers {place}"
    return ""


def _link_fault(road: ElementTree.Element, lanes: Lanes, junctions: set[str]) -> str:
    """What a road says of others that is not so."""
    junction = road.get("junction", "")
    if junction != "-1" and junction not in junctions:
        return f"is of junction {junction!r}, which is not there: -1 says that it is of none"
    ends: list[set[int] | None] = []
    for side in ("predecessor", "successor"):
        link, ends = road.find(f"link/{side}"), [*ends, None]
        if link is not None and link.get("elementType") == "road":
            number = link.get("elementId", "")
            beside = lanes.get(int(number)) if _is_integer(number) else None
            ends[-1] = beside[-1 if link.get("contactPoint") == "end" else 0] if beside else None
    own = lanes[int(road.get("id", ""))]
    return _lane_link_fault(road, [ends[0], *own, ends[1]])


def _lane_link_fault(road: ElementTree.Element, sections: list[set[int] | None]) -> str:
    """What lanes say of the lanes before and after; sections: those of the road, between what it leads from and to."""
    for i, section in enumerate(road.findall("lanes/laneSection"), start=1):
        for lane in (*section.findall("left/lane"), *section.findall("right/lane")):
            for side, beside in (("predecessor", sections[i - 1]), ("successor", sections[i + 1])):
                link = lane.find(f"link/{side}")
                target = "0" if link is None else link.get("id", "0")
                if beside is not None and (not _is_integer(target) or int(target) not in beside):
                    return f"has a lane {lane.get('id')} whose {side} is lane {target}, which is not there"
    return ""


def _lanes(section: ElementTree.Element) -> set[int]:
    return {0, *(int(lane.get("id", "")) for side in ("left", "right") for lane in section.findall(f"{side}/lane"))}


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,9}", text) is not None


def _number(element: ElementTree.Element, key: str, default: str = "nan") -> float:
    try:
        return float(element.get(key, default))
    except ValueError:
        return float("nan")
