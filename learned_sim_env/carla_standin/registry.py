"""Which remote procedures there are, by the name on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.wire import Refused


@dataclass(frozen=True)
class Call:
    """A remote procedure. nothing: it returns no value. bare: its reply is no Response."""

    function: Callable[..., Any]
    nothing: bool = False
    bare: bool = False

    def reply(self, server: Any, arguments: list[Any]) -> Any:
        """What a `Server` answers."""
        try:
            value = self.function(server, *arguments)
        except Refused as refused:
            return wire.failed(str(refused), nothing=self.nothing)
        return value if self.bare else wire.done() if self.nothing else wire.good(value)


CALLS: dict[str, Call] = {}


def call(name: str, **more: bool) -> Callable:
    """Make a function, called with the server and the arguments on the wire, a remote procedure."""

    def register(function: Callable) -> Callable:
        CALLS[name] = Call(function, **more)
        return function

    return register
