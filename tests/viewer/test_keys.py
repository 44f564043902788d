"""Every key that the viewer promises gives a command, whatever keyboard it is on."""

from __future__ import annotations

import pytest

from learned_sim_env.viewer.app import App
from learned_sim_env.viewer.keys import HELD, HELP, KEYS, command_of

TYPED = {
    **dict.fromkeys("mM", "switch_driver"),
    "p": "pause",
    ".": "single_step",
    "[": "slower",
    "]": "faster",
    "r": "again",
    "R": "another_chance",
    "n": "next_context",
    **dict.fromkeys("123456789", "scenario"),
    "b": "mark",
    "v": "return_to_mark",
    "z": "rewind",
    "t": "twin",
    "e": "appearance",
    "E": "dream_appearance",
    "u": "overlay",
    "l": "perturb",
    "L": "perturb_strength",
    "c": "palette",
    "g": "record",
    "f": "full_screen",
    "?": "help",
}


@pytest.mark.parametrize(("typed", "command"), TYPED.items())
def test_characters(typed, command):
    # On a keyboard where that character is somewhere else.
    assert command_of("somewhere else", typed) == command


@pytest.mark.parametrize(("name", "command"), [("f1", "help"), ("escape", "quit")])
def test_keys_without_a_character(name, command):
    assert command_of(name, "") == command


def test_all_commands_exist_and_no_key_has_two():
    assert {key.command for key in KEYS if key.command} == {*TYPED.values(), "quit"}
    assert all(callable(getattr(App, key.command)) for key in KEYS if key.command)
    typed = "".join(key.typed for key in KEYS)
    assert len(set(typed)) == len(typed)


def test_keys_that_steer_do_nothing_else():
    assert sorted(set(HELD.values())) == ["down", "left", "right", "up"]
    assert len(HELD) == 8
    assert [name for name in HELD if command_of(name, name if len(name) == 1 else "")] == []


def test_other_keys_do_nothing():
    assert command_of("k", "k") == command_of("left shift", "") == ""


def test_help_names_every_key():
    shown = " ".join(name for name, _ in HELP)
    for name in ("arrows", "WASD", *"MPRNBVZTULCGF.[]", "1 .. 7", "8, 9", "F1", "?", "Esc"):
        assert name in shown
    assert all(meaning for _, meaning in HELP)
