"""Which remote procedures there are, by the name on the wire."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.wire import Refused

# Procedures of CARLA's that the stand-in has not and whose reply would carry no value. The client takes an error only
# in the form that the procedure's reply has; all others reply with a value, or not at all.
ABSENT_WITHOUT_VALUE = frozenset(
    {
        "apply_color_texture_to_objects",
        "apply_float_color_texture_to_objects",
        "enable_gbuffers",
        "set_ignored_vehicles",
    }
)


@dataclass(frozen=True)
class Call:
    """A remote procedure. nothing: it returns no value. bare: its reply is no Response. idle: it changes nothing."""

    function: Callable[..., Any]
    nothing: bool = False
    bare: bool = False
    idle: bool = False


CALLS: dict[str, Call] = {}


def call(name: str, **more: bool) -> Callable:
    """Make a function, called with the server and the arguments on the wire, a remote procedure."""

    def register(function: Callable) -> Callable:
        CALLS[name] = Call(function, **more)
        return function

    return register


def answer(server: Any, name: str, arguments: list[Any], silent: bool) -> Any:
    """What a `Server` replies to a call; silent: the client does not wait for it, so errors go to the log."""
    known = CALLS.get(name)
    nothing = name in ABSENT_WITHOUT_VALUE if known is None else known.nothing
    try:
        if known is None:
            raise Refused("the stand-in has no such procedure")
        if not known.bare:
            require_finite(arguments)
        value = perform(server, name, *arguments)
    except Refused as refused:
        if silent or known is None:
            server.log.note(f"{name}: {refused}")
        return wire.failed(f"{name}: {refused}" if known is None else str(refused), nothing=nothing)
    except Exception as error:  # a defect, or arguments of another version: the client is told, others go on
        if known is None or known.bare:
            raise
        traceback.print_exc()
        return wire.failed(f"{name}: {error}", nothing=nothing)
    return value if known.bare else wire.done() if nothing else wire.good(value)


def perform(server: Any, name: str, *arguments: Any) -> Any:
    """Do what a call asks for that the stand-in has."""
    known = CALLS[name]
    if known.idle:
        server.log.note(f"{name}: taken, and without effect in the stand-in")
    return known.function(server, *arguments)


def require_finite(arguments: Any) -> None:
    """Raise `Refused` for infinities and what is no number, at any depth: they would stay in the world for ever."""
    if isinstance(arguments, float):
        if not isfinite(arguments):
            raise Refused(f"{arguments} where a finite number is expected")
    elif isinstance(arguments, (list, tuple)):
        for argument in arguments:
            require_finite(argument)
