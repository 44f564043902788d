"""A report in one file: whole, self-contained, escaped, and in an order that a screen reader can follow."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.reporting.html import write_html
from learned_sim_env.reporting.parts import Part, Table, Target, targets_table
from learned_sim_env.reporting.write import markdown, write_report

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

VOID = {"meta", "img", "br", "link"}
EVIL = "<script>alert(\"x\")</script> & 'more'"
PICTURE = np.random.default_rng(0).integers(0, 256, (5, 300, 3)).astype(np.uint8)


def draw(figure) -> None:
    axis = figure.subplots()
    axis.plot([1, 2, 3], [1, 4, 9], label="squares")
    axis.legend(loc="upper left")


def draw_many(figure) -> None:
    figure.subplots().scatter(*np.random.default_rng(0).normal(size=(2, 9000)), s=1)


def part(name: str = "views", **changes) -> Part:
    table = Table("IoU", ("class", "1 step", "30 steps"), (("road", "0.98 [0.97, 0.99]", "0.8"), ("lines", "-", "n/a")))
    given = Part(
        name=name,
        title=f"The {name}",
        method="Measured.\n\nTwice.",
        limits="Nothing about tomorrow.",
        tables=(table,),
        values={},
        figures={"Error by step": draw},
        pictures={"Film strip": PICTURE},
    )
    return replace(given, **changes)


class Page(HTMLParser):
    """What a page holds; opening and closing tags must match."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def within(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def written(path: Path, parts: Sequence[Part], about: dict | None = None, title: str = "How far") -> Page:
    write_html(path, title, {} if about is None else about, parts)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    about = {"checkpoint": "bev", "seeds": list(range(100)), "nested": {"a": (1, 2)}, "command": "learned-sim evaluate"}
    return written(tmp_path_factory.mktemp("html") / "new" / "report.html", [part(), part("L1: paths")], about)


def test_every_part_is_announced_and_shown_with_its_method_and_limits(page: Page) -> None:
    assert page.within("title") == page.within("h1") == ["How far"]
    assert page.within("h2") == ["Contents", "The views", "The L1: paths"]
    assert page.within("a") == ["The views", "The L1: paths"]
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    assert [a["href"] for a in page.all("a")] == ["#part-views", "#part-l1-paths"]
    named = [a["href"][1:] for a in page.all("a")] + [
        a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a
    ]
    assert set(named) <= set(ids)
    assert page.within("h3") == ["How it was measured", "What this cannot show"] * 2
    assert page.within("p") == ["Measured.", "Twice.", "Nothing about tomorrow."] * 2
    # Never folded away.
    assert not page.all("details") and not any("hidden" in a for _, a in page.tags)


def test_headings_do_not_skip_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_top_says_what_was_evaluated(page: Page) -> None:
    assert page.within("dt") == ["checkpoint", "seeds", "nested", "command"]
    assert page.within("dd") == ["bev", "0, 1, … 99 (100)", "a: 1, 2"]
    assert page.within("code") == ["learned-sim evaluate"]


def test_tables_have_captions_and_headed_rows(page: Page) -> None:
    assert page.within("caption") == ["IoU", "IoU"]
    assert page.within("th")[:5] == ["class", "1 step", "30 steps", "road", "lines"]
    assert page.within("td")[:4] == ["0.98 [0.97, 0.99]", "0.8", "-", "n/a"]
    # Numbers stand to the right, a column with words to the left.
    assert [a.get("class") for a in page.all("td")[:2]] == ["number", "word"]
    assert "more" not in [a.get("class") for a in page.all("tr")]
    assert {a["scope"] for a in page.all("th")} == {"col", "row"}


def test_rows_that_begin_alike_belong_together(tmp_path: Path) -> None:
    table = Table("IoU", ("class", "method"), (("road", "model"), ("road", "copy"), ("lines", "model")))
    page = written(tmp_path / "r.html", [part(tables=(table,))])
    assert [a.get("class") for a in page.all("tr")] == [None, None, "more", None]


def test_nothing_is_fetched(page: Page) -> None:
    assert not page.all("link") and not page.all("script")
    assert all(a["src"].startswith("data:image/") for a in page.all("img"))
    assert "url(" not in page.within("style")[0] and "@import" not in page.within("style")[0]
    assert "default-src 'none'" in page.all("meta")[1]["content"]


def test_images_have_alternatives_and_are_what_was_given(page: Page) -> None:
    from PIL import Image

    plot, picture = page.all("img")[:2]
    assert plot["alt"] == "Plot: Error by step. The views."
    assert picture["alt"] == "Picture: Film strip. The views."
    assert plot["src"].startswith("data:image/svg+xml;base64,")
    assert "<path" in base64.b64decode(plot["src"].split(",")[1]).decode()
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["src"].split(",")[1]))))
    assert image.shape[:2] == (int(picture["height"]), int(picture["width"])) == (15, 900)
    np.testing.assert_array_equal(image[1::3, 1::3], PICTURE)


def test_a_drawing_of_many_points_becomes_a_picture(tmp_path: Path) -> None:
    page = written(tmp_path / "r.html", [part(figures={"Cloud": draw_many})])
    assert page.all("img")[0]["src"].startswith("data:image/png;base64,")


def test_all_text_is_escaped(tmp_path: Path) -> None:
    table = Table(EVIL, (EVIL, EVIL), ((EVIL, EVIL),))
    evil = Part("evil", EVIL, EVIL, EVIL, (table,), {}, {EVIL: draw}, {EVIL: PICTURE})
    page = written(tmp_path / "r.html", [evil], {EVIL: EVIL, "command": EVIL}, EVIL)
    assert not page.all("script")
    for tag in ("title", "h1", "dt", "dd", "code", "a", "caption", "th", "td", "figcaption"):
        assert EVIL in page.within(tag)
    assert all(EVIL in a["alt"] for a in page.all("img"))


def test_the_same_data_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_html(tmp_path / name, "t", {}, [part()])
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    def fail(figure) -> None:
        raise RuntimeError("no data")

    path = tmp_path / "r.html"
    write_html(path, "old", {}, [part()])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="no data"):
        write_html(path, "new", {}, [part(figures={"broken": fail})])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part(), part()], "no distinct anchors: 'views', 'views'"),
        ([part(tables=(Table("t", ("a", "b"), (("1",),)),))], "has 2 columns, but a row of 1"),
        ([part(pictures={"p": PICTURE.astype(float)})], r"picture 'p' is \(5, 300, 3\) float64"),
    ],
)
def test_what_cannot_be_shown_is_refused(parts: list[Part], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_html(tmp_path / "r.html", "t", {}, parts)


def test_what_was_asked_stands_before_what_was_measured(tmp_path: Path) -> None:
    targets = (
        Target.least("agreement", 0.9, 0.95),
        Target.most("error", 0.05, 0.1, 3, "m"),
        Target.most("seam", 1.3, 1.3),
        Target.least("forecast", 0.9, float("nan")),
    )
    assert [target.verdict for target in targets] == ["met", "missed", "met", "not measured"]
    assert (targets[1].asked, targets[1].measured, targets[3].measured) == ("at most 0.05 m", "0.100 m", "-")
    write_report(tmp_path, "ladder", "Ladder", {}, [part(targets=targets)])
    page = (tmp_path / "ladder.html").read_text()
    assert page.index("Asked and measured") < page.index("IoU") and "not measured" in page
    said = json.loads((tmp_path / "ladder.json").read_text())["views"]["targets"]
    assert [one["met"] for one in said] == [True, False, True, None]
    assert markdown(targets_table(targets)).splitlines()[2].split("|")[1:3] == [" agreement ", " at least 0.9   "]
