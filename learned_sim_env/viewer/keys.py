"""The keys, once: what they are called on the screen, what they mean, and which command they give."""

from __future__ import annotations

from dataclasses import dataclass

from learned_sim_env.spec import SCENARIO_TAGS


@dataclass(frozen=True)
class Key:
    """A key. shown: its name on the screen. typed: the characters it may give. named: pygame's names of it.

    command: name of the method of `app.App` that it calls; "" where keys are held, see `steering`.
    """

    shown: str
    meaning: str
    command: str = ""
    typed: str = ""
    named: tuple[str, ...] = ()


KEYS = (
    Key("arrows, WASD", "steer, throttle, brake; or a game controller"),
    Key("M", "drive yourself, or let the policy", "switch_driver", "mM"),
    Key("P", "pause", "pause", "pP"),
    Key(".", "a single step", "single_step", "."),
    Key("[  ]", "slower, faster", "slower", "["),
    Key("", "", "faster", "]"),
    Key("R", "the same start again; shift: with another chance", "again", "r"),
    Key("", "", "another_chance", "R"),
    Key("N", "next context", "next_context", "nN"),
    Key("1 .. 7", f"start at: {', '.join(SCENARIO_TAGS)}", "scenario", "1234567"),
    Key("8, 9", "start anywhere", "scenario", "89"),
    Key("B", "mark this moment", "mark", "bB"),
    Key("V", "back to the mark: try again", "return_to_mark", "vV"),
    Key("Z", "rewind, step by step", "rewind", "zZ"),
    Key("T", "the simulator beside it, and the difference", "twin", "tT"),
    Key("E", "the simulator's cameras by day, at night, in fog, in rain", "appearance", "e"),
    Key("Shift E", "a dream that begins by day, at night, in fog, in rain", "dream_appearance", "E"),
    Key("U", "where other futures differ", "overlay", "uU"),
    Key("L", "perturb the latent; shift: how strongly", "perturb", "l"),
    Key("", "", "perturb_strength", "L"),
    Key("C", "other colours, safe for colour-blind people", "palette", "cC"),
    Key("G", "record, or stop recording", "record", "gG"),
    Key("F", "full screen", "full_screen", "fF"),
    Key("F1, ?", "these keys", "help", "?", ("f1",)),
    Key("Esc", "quit", "quit", "", ("escape",)),
)
# Rows of the help, name and meaning.
HELP = tuple((key.shown, key.meaning) for key in KEYS if key.shown)
# pygame's names of the keys that are held, and what they do.
HELD = {"left": "left", "a": "left", "right": "right", "d": "right", "up": "up", "w": "up", "down": "down", "s": "down"}


def command_of(name: str, typed: str) -> str:
    """The command of a key, by pygame's name of it or the character it gave; "" if it has none.

    The character counts first: where brackets and dots are depends on the keyboard.
    """
    for key in KEYS:
        if key.command and ((typed and typed in key.typed) or name in key.named):
            return key.command
    return ""
