"""A checkpoint's `card.md`: what it is, how it came to be, and what was measured of it."""

from __future__ import annotations

from typing import Any


def card(name: str, about: str, training: dict[str, Any], measured: str = "") -> str:
    """Markdown of a card.

    Args:
        name: of the checkpoint.
        about: what kind of model it is, in a sentence.
        training: how it was trained, as in `config.json`; its "history" is written below the table.
        measured: Markdown of an evaluation, with the command that repeats it.
    """
    settings = {key: value for key, value in training.items() if key != "history"}
    rows = "\n".join(f"| {key.replace('_', ' ')} | {value} |" for key, value in settings.items())
    history = f"{training['history']}\n\n" if "history" in training else ""
    return (
        f"# {name}\n\n{about} It ships frozen, with the moments it starts from.\n\n## Training\n\n| | "
        f"|\n|---|---|\n{rows}\n\n{history}"
        + (measured or "## Measured\n\nNothing yet: `learned-sim evaluate --card` fills this in.\n")
    )
