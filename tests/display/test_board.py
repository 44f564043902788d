"""Pictures by their structure: everything is there, nothing is cut, classes keep their edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from learned_sim_env.display.board import Board, difference, picture_of
from learned_sim_env.display.frame import Frame, Status, TwinFrame
from learned_sim_env.display.layout import PANELS, WATCHING, Rect, arrange
from learned_sim_env.display.theme import THEMES, theme
from learned_sim_env.spec import COST_TERMS, NUM_CLASSES, REWARD_TERMS, SemanticClass
from learned_sim_env.viewer.keys import HELP

pygame = pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")

SIZES = [(640, 480), (800, 600), (1120, 840), (1600, 900), (900, 1200), (3840, 2160)]


def frame(**changes) -> Frame:
    """A frame with something to be seen everywhere."""
    rng = np.random.default_rng(0)
    info = {
        "reward_terms": dict(zip(REWARD_TERMS, (0.53, -0.12, -0.01, -0.03, 0.0, -10.0, 0.0))),
        "cost": 1.0,
        "cost_terms": dict(zip(COST_TERMS, (1.0, 0.0, 0.0))),
        "end_reason": "",
        "uncertainty": 0.061,
        "ego_motion": np.zeros(3, np.float32),
        "imagined_steps": 37,
        "context": 319,
        "scenario_tags": ("curve", "intersection", "roundabout", "traffic", "objects"),
    }
    status = Status(
        driver="expert (route follower)",
        rate=10.0,
        marked=12,
        strength=0.2,
        model_ms=2.41,
        display_ms=11.6,
        note="perturbed: strength 0.2",
    )
    whole = Frame(
        views={"bev": rng.integers(0, NUM_CLASSES, (64, 64), dtype=np.uint8)},
        ego=np.array([12.3, 0.0, -0.42, 0.71, 0.0, 0.0], np.float32),
        info=info,
        step=37,
        reward_total=123.4,
        cost_total=3.0,
        trail=np.linspace(0, 0.061, 38, dtype=np.float32),
        bound=0.13,
        seed=123,
        status=status,
    )
    return replace(whole, **changes)


def twin_frame(view: np.ndarray, **changes) -> TwinFrame:
    return replace(TwinFrame({"bev": view}, 12.1, 118.0, 1.0, "", 0.42), **changes)


def drawn(shown: Frame, size=(1120, 840), keys=()):
    """The board after drawing, and the picture (H, W, 3) uint8."""
    board, surface = Board(), pygame.Surface(size, depth=24)
    board.draw(surface, shown, keys)
    return board, np.frombuffer(pygame.image.tobytes(surface, "RGB"), np.uint8).reshape(size[1], size[0], 3)


def said(board: Board) -> list[str]:
    return [text for text, _, _ in board.painter.texts]


def part(picture: np.ndarray, rect: Rect) -> np.ndarray:
    return picture[rect.y : rect.bottom, rect.x : rect.right]


def cameras(*names: str) -> dict[str, np.ndarray]:
    """Pictures that are bright at the top and dark at the bottom, with a map where "bev" is asked for."""
    rng = np.random.default_rng(1)
    picture = np.linspace(230, 60, 64).astype(np.uint8)[:, None, None].repeat(96, 1).repeat(3, 2)
    made = {name: picture + rng.integers(0, 20, (64, 96, 3), dtype=np.uint8) for name in names}
    return {name: frame().views["bev"] if name == "bev" else view for name, view in made.items()}


def seen_twice(*names: str) -> Frame:
    """Views of a dream and of its twin."""
    return frame(views=cameras(*names), twin=replace(twin_frame(None), views=cameras(*names)), twin_wanted=True)


ABREAST = ("left", "front", "right")
VARIANTS = {
    "cameras": frame(views=cameras(*ABREAST)),
    "cameras watched": frame(views=cameras(*ABREAST, "bev"), status=Status()),
    "cameras and a map": frame(views=cameras(*ABREAST, "bev"), info={**frame().info, "end_reason": "collision"}),
    "cameras and twin": seen_twice(*ABREAST),
    "cameras, map and twin": seen_twice(*ABREAST, "bev"),
    "two cameras": frame(views=cameras("left", "right")),
    "one camera": seen_twice("front"),
    "six cameras and two maps": frame(views={**cameras(*"abcdef", "bev"), "other": frame().views["bev"]}),
    "two maps": frame(views={"bev": frame().views["bev"], "other": frame().views["bev"]}),
    "nothing to see": frame(views={}),
    "driven": frame(),
    "watched": frame(status=Status()),
    "real": frame(source="metadrive", status=Status(), trail=np.zeros(0, np.float32)),
    "twin": frame(twin_wanted=True, twin=twin_frame(np.zeros((64, 64), np.uint8), end_reason="off_road")),
    "twin on its way": frame(twin_wanted=True),
    "ended": frame(info={**frame().info, "end_reason": "collision"}),
    "busy": frame(
        overlay={"bev": np.full((64, 64), 128, np.uint8)},
        status=replace(frame().status, paused=True, recording=True, futures=2.9, palette="colour-blind safe"),
    ),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_cut_and_nothing_overlaps(name, size):
    board, picture = drawn(VARIANTS[name], size)
    layout, whole = board.layout, Rect(0, 0, *size)
    colours = theme(VARIANTS[name].status.palette)
    places = [*layout.panels.values(), *layout.captions.values(), layout.header, layout.footer]
    places += [*layout.views.values(), *layout.twin_views.values(), *layout.differences.values()]
    places += [layout.numbers] if layout.numbers else []
    assert all(whole.holds(place) for place in places)
    assert not any(a.meets(b) for a, b in combinations(places, 2))
    assert board.painter.cut == []
    for text, where, room in board.painter.texts:
        assert room.holds(where), text
        assert sum(place.holds(where) for place in places) == 1, text
    for (one, here, _), (other, there, _) in combinations(board.painter.texts, 2):
        assert not here.meets(there), (one, other)
    for panel in layout.panels.values():
        assert 0.005 < (part(picture, panel) != colours.panel).any(-1).mean() < 0.6


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_text_grows_with_the_window(size):
    board, _ = drawn(frame(), size)
    smallest = min(where.height for _, where, _ in board.painter.texts)
    # About a fiftieth of the picture for the smallest text, on a dense screen as on any other.
    assert smallest > 0.013 * min(size[1], size[0] * 3 / 4)


@pytest.mark.parametrize("palette", THEMES)
def test_classes_keep_sharp_edges(palette):
    shown = frame(status=replace(frame().status, palette=palette))
    board, picture = drawn(shown)
    factor, view = board.layout.views["bev"].width // 64, part(picture, board.layout.views["bev"])
    assert factor == 11
    assert np.array_equal(view, theme(palette).classes[shown.views["bev"]].repeat(factor, 0).repeat(factor, 1))


def test_all_panels_and_what_they_say():
    board, _ = drawn(frame())
    assert tuple(board.layout.panels) == tuple(PANELS)
    texts = said(board)
    expected = ["12.3 m/s", "44 km/h", "0.42 left", "0.71", "+0.53", "-10.00", "-9.63     episode +123.4"]
    expected += ["1     episode 3", "0.061     bound 0.130", "3.7 s, 37 of 500 steps", "2.4 ms", "11.6 ms"]
    expected += ["10 steps/s", "at 1.2 s", "strength 0.2", "perturbed: strength 0.2", "context 319  seed 123"]
    assert [text for text in expected if text not in texts] == []
    assert [name.replace("_", " ") for name in REWARD_TERMS + COST_TERMS if name.replace("_", " ") not in texts] == []


def test_who_only_watches_sees_no_keys():
    board, _ = drawn(VARIANTS["watched"])
    assert tuple(board.layout.panels) == WATCHING
    assert "F1: keys" not in said(board)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "imagined, 37 steps since real (3.7 s)"),
        ({"info": {**frame().info, "imagined_steps": 1}}, "imagined, 1 step since real (0.1 s)"),
        ({"info": {**frame().info, "imagined_steps": 0}}, "real start, as the model remembers it"),
        ({"source": "metadrive"}, "real: metadrive"),
    ],
)
def test_every_frame_says_what_it_is(changes, words):
    for twin in (False, True):
        board, _ = drawn(frame(twin_wanted=twin, **changes))
        assert said(board).count(words) == 1 + twin


def test_the_end_and_its_reason():
    plain, ended = drawn(frame())[1], drawn(VARIANTS["ended"])
    assert "COLLISION" in said(ended[0])
    view = ended[0].layout.views["bev"]
    assert not np.array_equal(part(plain, view), part(ended[1], view))


def test_uncertainty_over_its_bound_looks_different():
    colours = theme("standard")

    def count(now: float, colour) -> int:
        info = {**frame().info, "uncertainty": now}
        board, picture = drawn(frame(info=info, trail=np.full(100, now, np.float32)))
        return int((part(picture, board.layout.panels["uncertainty"]) == colour).all(-1).sum())

    assert count(0.05, colours.accent) > 100 > count(0.2, colours.accent)
    assert count(0.1, colours.warn) > 100 > count(0.05, colours.warn)
    assert count(0.2, colours.bad) > count(0.05, colours.bad) + 100


def test_overlay_is_strongest_where_nothing_is_certain():
    overlay = np.zeros((64, 64), np.uint8)
    overlay[:, 32:] = np.linspace(0, 255, 64).astype(np.uint8)[:, None]
    shown = frame(views={"bev": np.zeros((64, 64), np.uint8)}, overlay={"bev": overlay})
    board, picture = drawn(shown)
    cells = part(picture, board.layout.views["bev"]).reshape(64, 11, 64, 11, 3).swapaxes(1, 2)
    ground = theme("standard").classes[0]
    assert (cells[:, :32] == ground).all()
    covered = (cells[:, 40] != ground).any(-1).mean((1, 2))
    assert (np.diff(covered) >= 0).all()
    assert covered[0] == 0
    assert 0.35 < covered[-1] < 0.6
    # The class can still be read, and the dots are seen on every class.
    assert (cells[:, :, 0, 0] == ground).all()
    assert {tuple(c) for c in cells[63, 63].reshape(-1, 3).tolist()} >= {theme("standard").text, tuple(ground.tolist())}
    assert "8 futures, 0.0 s apart" in said(board)


def test_twin_stands_beside_with_the_difference():
    dream = np.full((64, 64), SemanticClass.ROAD, np.uint8)
    twin = dream.copy()
    twin[:32] = SemanticClass.OFF_ROAD
    twin[40:44, 30:34] = SemanticClass.VEHICLE
    board, picture = drawn(frame(views={"bev": dream}, twin=twin_frame(twin), twin_wanted=True))
    layout, colours = board.layout, theme("standard")
    factor = layout.views["bev"].width // 64
    rects = [places["bev"] for places in (layout.views, layout.twin_views, layout.differences)]
    shown = [part(picture, rect)[factor // 2 :: factor, factor // 2 :: factor] for rect in rects]
    assert np.array_equal(shown[0], colours.classes[dream])
    assert np.array_equal(shown[1], colours.classes[twin])
    assert np.array_equal(shown[2], difference(dream, twin, colours))
    assert (shown[2][:32] == colours.warn).all()
    assert (shown[2][40:44, 30:34] == colours.bad).all()
    assert (shown[2][50] < colours.classes[SemanticClass.ROAD]).all()
    assert {"12.3", "12.1", "+123.4", "+118.0", "0.42", f"{(dream == twin).mean():.1%}"} <= set(said(board))


def test_keys_are_shown_over_it():
    board, _ = drawn(frame(), keys=HELP)
    texts = said(board)
    assert all(name in texts and meaning in texts for name, meaning in HELP)
    assert board.painter.cut == []


def test_the_same_frame_gives_the_same_pixels():
    one, other = picture_of(Board(), frame(), (1120, 840)), picture_of(Board(), frame(), (1120, 840))
    assert one.shape == (840, 1120, 3)
    assert np.array_equal(one, other)


MAP = {"bev": (64, 64)}


def test_views_grow_by_whole_factors_as_far_as_they_can():
    for size in SIZES:
        alone, beside = arrange(size, {}, MAP, twin=False), arrange(size, {}, MAP, twin=True)
        (whole,) = alone.views.values()
        assert whole.width == whole.height and whole.width % 64 == 0
        cells = [places["bev"] for places in (beside.views, beside.twin_views, beside.differences)]
        assert len({(cell.width, cell.height) for cell in cells}) == 1
        assert 64 <= cells[0].width <= whole.width
    wide = arrange((2400, 600), {}, MAP, twin=True)
    assert wide.differences["bev"].y == wide.views["bev"].y
