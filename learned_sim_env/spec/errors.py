"""Errors that suggest what was meant."""

from __future__ import annotations


def unknown(what: str, value: object, known: object) -> ValueError:
    """A `ValueError` for a name that is not among `known`, suggesting the nearest one."""
    import difflib

    names = [str(k) for k in known]  # type: ignore[attr-defined]
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {what} {value!r}.{hint} Known: {', '.join(names)}")
