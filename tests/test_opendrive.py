"""Maps that would bring CARLA's own code down are refused before it sees them, and say what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.opendrive import check_opendrive, open_map

TOWN = TOWNS["RingTown"]()


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
    "another length": (changed(r'(<road [^>]*?)length="[^"]*"', r'\1length="9000"'), "its geometry is"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(name):
    text, message = BAD[name]
    with pytest.raises(ValueError, match=r"^bad\.xodr is not an? (usable )?OpenDRIVE map: ") as raised:
        check_opendrive("bad.xodr", text)
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
