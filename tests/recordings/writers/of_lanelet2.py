"""Lanelet2 maps as Autoware writes them."""

from __future__ import annotations

from pathlib import Path

from tests.recordings.world import World


def lanelet2(path: Path, world: World) -> None:
    """A map as Autoware writes it; the points of some borders are in the other order."""
    parts, node = [], 0
    for number in range(4):
        refs = []
        line = world.border(number)[::4]
        for x, y in line[::-1] if number == 1 else line:
            node += 1
            parts.append(f'<node id="{node}"><tag k="local_x" v="{x}"/><tag k="local_y" v="{y}"/></node>')
            refs.append(f'<nd ref="{node}"/>')
        kind, sub = (("road_border", "solid"), ("line_thin", "dashed"), ("line_thin", "solid"), ("road_border", ""))[
            number
        ]
        tags = f'<tag k="type" v="{kind}"/><tag k="subtype" v="{sub}"/>'
        parts.append(f'<way id="w{number}">{"".join(refs)}{tags}</way>')
    for number in range(3):
        # The last one leads back, so that what is left of it is the line that it shares with the one before.
        left, right = (number + 1, number) if number < 2 else (number, number + 1)
        members = f'<member type="way" ref="w{left}" role="left"/><member type="way" ref="w{right}" role="right"/>'
        tags = '<tag k="type" v="lanelet"/><tag k="subtype" v="road"/>'
        parts.append(f'<relation id="r{number}">{members}{tags}</relation>')
    path.write_text(f"<?xml version='1.0'?><osm>{''.join(parts)}</osm>")
