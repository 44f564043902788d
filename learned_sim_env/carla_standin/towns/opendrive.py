"""Roads and junctions as OpenDRIVE 1.4 text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree

from learned_sim_env.carla_standin.towns.curves import Path, Pose, connect, length

LANE_WIDTH, SIDEWALK_WIDTH = 3.5, 2.5  # [m]
# OpenDRIVE's type of a traffic light, as CARLA reads it.
TRAFFIC_LIGHT = "1000001"
Contact = Literal["start", "end"]


@dataclass
class Road:
    """A road: `right` lanes are driven along its path, `left` ones against it; sidewalks outside where asked for.

    predecessor, successor: (element type, id, contact point or "").
    """

    id: int
    name: str
    path: Path
    right: int = 1
    left: int = 0
    sidewalks: bool = False
    junction: int = -1
    markings: bool = True
    lane_link: tuple[int, int] | None = None
    predecessor: tuple[str, int, str] | None = None
    successor: tuple[str, int, str] | None = None
    lights: list[tuple[int, float, str, int]] = field(default_factory=list)  # signal id, s [m], orientation, lanes
    crosswalks: list[float] = field(default_factory=list)  # s [m]

    @property
    def end(self) -> Pose:
        """Where its path leads."""
        return self.path[-1].end


@dataclass(frozen=True)
class Arm:
    """An end of a road that meets a junction."""

    road: Road
    contact: Contact

    @property
    def pose(self) -> Pose:
        """On the reference line, looking into the junction."""
        return self.road.end if self.contact == "end" else self.road.path[0].start.turned()

    @property
    def lanes_in(self) -> list[int]:
        """Ids of the lanes that lead into the junction, from the inside out."""
        at_end = self.contact == "end"
        return [-(i + 1) for i in range(self.road.right)] if at_end else [i + 1 for i in range(self.road.left)]

    @property
    def lanes_out(self) -> list[int]:
        """Ids of the lanes that lead out of it, from the inside out."""
        at_end = self.contact == "end"
        return [i + 1 for i in range(self.road.left)] if at_end else [-(i + 1) for i in range(self.road.right)]

    def link(self, junction: int) -> None:
        """Tell the road that it ends here."""
        if self.contact == "end":
            self.road.successor = ("junction", junction, "")
        else:
            self.road.predecessor = ("junction", junction, "")


@dataclass
class Junction:
    """Where arms meet; `connections` are (incoming road, connecting road, lane)."""

    id: int
    connections: list[tuple[int, int, int]] = field(default_factory=list)
    controllers: list[int] = field(default_factory=list)


class Town:
    """A map under construction."""

    def __init__(self, name: str):
        self.name = name
        self.roads: list[Road] = []
        self.junctions: list[Junction] = []
        self.controllers: list[tuple[int, list[int]]] = []
        self._signals = 0

    def road(self, path: Path, name: str = "", **more: Any) -> Road:
        """Add a road."""
        road = Road(len(self.roads) + 1, name, path, **more)
        self.roads.append(road)
        return road

    def junction(self) -> Junction:
        """Add a junction without connections."""
        junction = Junction(1000 + len(self.junctions))
        self.junctions.append(junction)
        return junction

    def join(self, junction: Junction, source: Arm, lane_in: int, target: Arm, lane_out: int) -> None:
        """Lead one lane of `source` over the junction into one lane of `target`."""
        start = source.pose.moved(0.0, -(abs(lane_in) - 1) * LANE_WIDTH)
        end = target.pose.turned().moved(0.0, -(abs(lane_out) - 1) * LANE_WIDTH)
        road = self.road(connect(start, end), junction=junction.id, markings=False, lane_link=(lane_in, lane_out))
        road.predecessor = ("road", source.road.id, source.contact)
        road.successor = ("road", target.road.id, target.contact)
        source.link(junction.id)
        target.link(junction.id)
        junction.connections.append((source.road.id, road.id, lane_in))

    def lights(self, junction: Junction, phases: list[list[Arm]], before: float = 0.5) -> None:
        """Traffic lights `before` metres ahead of the junction; the arms of a phase are green together."""
        for arms in phases:
            signals = []
            for arm in arms:
                self._signals += 1
                at_end = arm.contact == "end"
                s = length(arm.road.path) - before if at_end else before
                arm.road.lights.append((self._signals, s, "+" if at_end else "-", len(arm.lanes_in)))
                signals.append(self._signals)
            self.controllers.append((len(self.controllers) + 1, signals))
            junction.controllers.append(len(self.controllers))

    def xml(self) -> str:
        """The whole map as OpenDRIVE."""
        root = ElementTree.Element("OpenDRIVE")
        header = _add(root, "header", revMajor=1, revMinor=4, name=self.name, version="1.00", vendor="learned-sim-env")
        _add(header, "geoReference").text = "+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
        for road in self.roads:
            _road(root, road)
        for controller, signals in self.controllers:
            element = _add(root, "controller", name=f"ctrl{controller:03d}", id=controller, sequence=0)
            for signal in signals:
                _add(element, "control", signalId=signal, type="0")
        for junction in self.junctions:
            element = _add(root, "junction", id=junction.id, name=f"junction{junction.id}")
            for i, (incoming, connecting, lane) in enumerate(junction.connections):
                c = _add(
                    element,
                    "connection",
                    id=i,
                    incomingRoad=incoming,
                    connectingRoad=connecting,
                    contactPoint="start",
                )
                _add(c, "laneLink", **{"from": lane, "to": -1})
            for controller in junction.controllers:
                _add(element, "controller", id=controller, type="0", sequence=0)
        ElementTree.indent(root)
        return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _road(root: ElementTree.Element, road: Road) -> None:
    total = length(road.path)
    element = _add(root, "road", name=road.name, length=total, id=road.id, junction=road.junction)
    links = _add(element, "link")
    for name, link in (("predecessor", road.predecessor), ("successor", road.successor)):
        if link is not None:
            kind, target, contact = link
            _add(links, name, elementType=kind, elementId=target, **({"contactPoint": contact} if contact else {}))
    _add(
        _add(element, "type", s=0.0, type="town"),
        "speed",
        max=30 if road.sidewalks or road.junction >= 0 else 40,
        unit="mph",
    )
    plan, s = _add(element, "planView"), 0.0
    for piece in road.path:
        p = piece.start
        geometry = _add(plan, "geometry", s=s, x=p.x, y=p.y, hdg=p.heading, length=piece.length)
        if abs(piece.curvature) < 1e-6:
            _add(geometry, "line")
        else:
            _add(geometry, "arc", curvature=piece.curvature)
        s += piece.length
    _add(_add(element, "elevationProfile"), "elevation", s=0.0, a=0.0, b=0.0, c=0.0, d=0.0)
    _lanes(element, road)
    objects, signals = _add(element, "objects"), _add(element, "signals")
    for i, s in enumerate(road.crosswalks):
        _crosswalk(objects, road, i, s)
    for signal, s, orientation, lanes in road.lights:
        _signal(signals, road, signal, s, orientation, lanes)


def _lanes(element: ElementTree.Element, road: Road) -> None:
    lanes = _add(element, "lanes")
    _add(lanes, "laneOffset", s=0.0, a=0.0, b=0.0, c=0.0, d=0.0)
    section = _add(lanes, "laneSection", s=0.0)
    left, centre, right = (
        _add(section, side) if side != "left" or road.left else None for side in ("left", "center", "right")
    )
    assert centre is not None
    assert right is not None
    middle = _add(centre, "lane", id=0, type="none", level="false")
    # Between the directions: dashed on a narrow road, double on a wide one; the edge of a one-way road.
    two_way = "solid solid" if road.left > 1 else "broken"
    _mark(middle, "none" if not road.markings else two_way if road.left else "solid", "yellow" if road.left else None)
    if left is not None:
        for lane in range(road.left + road.sidewalks, 0, -1):
            _lane(left, road, lane, road.left)
    for lane in range(1, road.right + road.sidewalks + 1):
        _lane(right, road, -lane, road.right)


def _lane(side: ElementTree.Element, road: Road, lane: int, driving: int) -> None:
    sidewalk = abs(lane) > driving
    element = _add(side, "lane", id=lane, type="sidewalk" if sidewalk else "driving", level="false")
    link = _add(element, "link")
    if road.lane_link is not None:
        _add(link, "predecessor", id=road.lane_link[0])
        _add(link, "successor", id=road.lane_link[1])
    width = SIDEWALK_WIDTH if sidewalk else LANE_WIDTH
    _add(element, "width", sOffset=0.0, a=width, b=0.0, c=0.0, d=0.0)
    mark = "none" if sidewalk or not road.markings else "solid" if abs(lane) == driving else "broken"
    _mark(element, mark)


def _mark(lane: ElementTree.Element, kind: str, colour: str | None = None) -> None:
    _add(
        lane,
        "roadMark",
        sOffset=0.0,
        type=kind,
        weight="standard",
        color=colour or "standard",
        width=0.15,
        laneChange="both" if kind == "broken" else "none",
    )


def _signal(signals: ElementTree.Element, road: Road, signal: int, s: float, orientation: str, lanes: int) -> None:
    side = -1 if orientation == "+" else 1
    element = _add(
        signals,
        "signal",
        name="Signal_3Light_Post01",
        id=signal,
        s=s,
        t=side * (lanes * LANE_WIDTH + 1.0),
        zOffset=0.0,
        hOffset=0.0,
        roll=0.0,
        pitch=0.0,
        orientation=orientation,
        dynamic="yes",
        country="OpenDRIVE",
        type=TRAFFIC_LIGHT,
        subtype="-1",
        value="-1",
        text="",
        height=0.8,
        width=0.4,
    )
    _add(element, "validity", fromLane=min(side, side * lanes), toLane=max(side, side * lanes))


def _crosswalk(objects: ElementTree.Element, road: Road, index: int, s: float) -> None:
    half = max(road.left, road.right) * LANE_WIDTH + (0.5 if road.sidewalks else 0.0)
    element = _add(
        objects,
        "object",
        id=road.id * 10 + index,
        name="SimpleCrosswalk",
        s=s,
        t=0.0,
        zOffset=0.0,
        hdg=0.0,
        roll=0.0,
        pitch=0.0,
        orientation="none",
        type="crosswalk",
        width=3.0,
        length=2 * half,
    )
    outline = _add(element, "outline")
    for u, v in ((-1.5, -half), (1.5, -half), (1.5, half), (-1.5, half), (-1.5, -half)):
        _add(outline, "cornerLocal", u=u, v=v, z=0.0)


def _add(parent: ElementTree.Element, tag: str, /, **attributes: object) -> ElementTree.Element:
    text = {key: f"{value:.6f}" if isinstance(value, float) else str(value) for key, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, text)
