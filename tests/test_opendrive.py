"""Maps that would bring CARLA's own code down are refused before it sees them, and say what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.opendrive import check_opendrive, open_map, read_opendrive

TOWN, LIGHTS = TOWNS["RingTown"](), TOWNS["GridTown"]()


def changed(pattern: str, replacement: str, count: int = 1) -> str:
    """The town with what first matches `pattern` replaced."""
    text, found = re.subn(pattern, replacement, TOWN, count=count, flags=re.S)
    assert found
    return text


BAD = {
    "garbage": ("garbage", "is no XML"),
    "cut off": (TOWN[: len(TOWN) // 2], "is no XML"),
    "another root": ("<a/>", "its root is <a>"),
    "empty": ("<OpenDRIVE/>", "it has no roads"),
    "no geometry": (changed("<planView>.*?</planView>", "<planView/>"), "road '1', its 1., has no planView/geometry"),
    "no lanes": (changed("<lanes>.*?</lanes>", ""), "has no lanes/laneSection"),
    "two of one id": (changed(r'(<road [^>]*?)id="2"', r'\1id="1"'), "there is another road '1'"),
    "no id": (changed(r'(<road [^>]*?) id="1"', r"\1"), "road '', its 1., has no integer id"),
    "no number": (changed(r'(<geometry [^>]*?)x="[^"]*"', r'\1x="nan"'), "a geometry whose x is 'nan'"),
    "no length": (changed(r'(<road [^>]*?)length="[^"]*"', r'\1length="-5"'), "has length '-5'"),
    "huge": (changed(r'(<road [^>]*?)length="[^"]*"', r'\1length="1e12"'), "has length '1e12'"),
    "no width": (changed(r"<width [^>]*/>", ""), "road '1', its 1., has a lane -1 without a <width>"),
    "a late width": (changed(r'(<width [^>]*sOffset=)"[^"]*"', r'\1"20"'), "has a lane -1 without a <width>"),
    "a border for a width": (changed("<width ", "<border ", count=0), "has a lane -1 without a <width>"),
    "no number of a width": (changed(r'(<width [^>]*)a="[^"]*"', r'\1a="nan"'), "a lane -1 with a <width> that is not"),
    "a lane on the wrong side": (changed(r'(<right>\s*<lane [^>]*)id="-1"', r'\1id="1"'), "has a lane '1' in its"),
    "two lanes of one id": (changed(r'(<lane [^>]*)id="-2"', r'\1id="-1"'), "has two lanes -1"),
    "no lane in the middle": (changed("<center>.*?</center>", ""), "has no lane 0 in the center"),
    "no shape": (changed(r"<arc [^>]*/>", ""), "without a shape: one of line, arc"),
    "no curvature": (changed(r'curvature="[^"]*"', 'curvature="0"'), "whose curvature is '0': make it a line"),
    "a place beyond the end": (
        changed(r'<laneOffset s="[^"]*"', '<laneOffset s="1e9"'),
        "has a lanes/laneOffset at s='1e9'",
    ),
    "no height at the beginning": (changed(r'<elevation s="[^"]*"', '<elevation s="5"'), "does not begin at s=0"),
    "no such junction": (
        changed(r'<junction [^>]*id="1000".*?</junction>', ""),
        "is of junction '1000', which is not there",
    ),
    "no such lane": (
        changed(r'(<lane [^>]*id="-1"[^>]*>\s*<link>\s*<predecessor id=)"[^"]*"', r'\1"-9"'),
        "is lane -9, which",
    ),
    "a signal before the beginning": (
        re.sub(r'(<signal [^>]*? s=)"[^"]*"', r'\1"-1"', LIGHTS, count=1),
        "has a signals/signal at s='-1', which is not on its",
    ),
    "no such signal": (LIGHTS.replace('signalId="1"', 'signalId="999"'), "controller '1' names signal '999', which"),
    "no such signal on a road": (
        LIGHTS.replace("</signals>", '<signalReference id="7777" s="1"/></signals>', 1),
        "road '1' names signal '7777', which is not there",
    ),
    "another length": (changed(r'(<road [^>]*?)length="[^"]*"', r'\1length="9000"'), "its geometry is"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(name):
    text, message = BAD[name]
    with pytest.raises(ValueError, match=r"^bad\.xodr is not an? (usable )?OpenDRIVE map: ") as raised:
        check_opendrive("bad.xodr", text)
    assert message in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "ISO-8859-1", "UTF-16", "utf-16-be"])
def test_a_map_is_read_in_the_encoding_that_it_declares(encoding, tmp_path: Path):
    path = tmp_path / "süd.xodr"
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = TOWN.replace("utf-8", declared, 1).replace("off-ramp", "Süd-Rampe")
    mark = "\N{BYTE ORDER MARK}" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + text).encode(encoding))
    found = read_opendrive(path)
    # What is sent to a server, or written again, is UTF-8 and says so.
    assert found.startswith("<?xml version='1.0' encoding='utf-8'?>")
    root = check_opendrive("map", found)
    assert {road.get("name") for road in root.findall("road")} >= {"Süd-Rampe", "ring"}
    # A text that says what its file was in is taken too: `world.get_map().to_opendrive()` of another server is one.
    assert check_opendrive("map", text).find("road").get("name") == root.find("road").get("name")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("<OpenDRIVE name='Süd'/>".encode("latin-1"), "süd.xodr is no utf-8 text"),
        (b"<?xml version='1.0' encoding='latin-77'?><OpenDRIVE/>", "süd.xodr: unknown encoding 'latin-77'"),
        (b"\xff\xfe<", "süd.xodr is no utf-16 text"),
    ],
    ids=["not as declared", "unknown", "cut off"],
)
def test_a_map_that_cannot_be_read_names_the_file(data, message, tmp_path: Path):
    (tmp_path / "süd.xodr").write_bytes(data)
    with pytest.raises(ValueError) as raised:
        read_opendrive(tmp_path / "süd.xodr")
    assert message in str(raised.value)


@pytest.mark.parametrize("town", TOWNS)
def test_a_good_map_is_opened(town, tmp_path: Path):
    pytest.importorskip("carla", reason="needs the extra [carla]")
    found, root = open_map(town, TOWNS[town]())
    assert found.get_topology()
    assert root.tag == "OpenDRIVE"


def test_what_only_carla_finds_is_said_as_well():
    pytest.importorskip("carla", reason="needs the extra [carla]")
    nowhere = changed(r'connectingRoad="[^"]*"', 'connectingRoad="99999"')
    with pytest.raises(ValueError, match="CARLA cannot read it"):
        open_map("bad.xodr", nowhere)
    pavement = changed('type="driving"', 'type="sidewalk"', count=0)
    with pytest.raises(ValueError, match="it has no lane to drive on"):
        open_map("bad.xodr", pavement)
