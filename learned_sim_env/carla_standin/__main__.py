"""`python -m learned_sim_env.carla_standin`: a server that CARLA 0.9.16 clients can connect to."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from learned_sim_env.carla_standin.procedures import actor_calls, calls
from learned_sim_env.carla_standin.server import Faults, Server, serve
from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.opendrive import open_map, read_opendrive

assert calls and actor_calls  # register their procedures


@dataclass(frozen=True)
class StandInArgs:
    """Stand in for a CARLA 0.9.16 server: its wire protocol over a flat kinematic world, without a GPU.

    It is not CARLA: no Unreal Engine, no vehicle physics, no buildings; cameras show flat colours. What it is for is
    testing programs that use the `carla` client. Prints one line with its port when clients can connect.
    """

    map: Path | None = None
    """An OpenDRIVE file to begin with."""
    town: str = "GridTown"
    """One of the maps that it knows, to begin with: GridTown or RingTown."""
    host: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 2000
    """Of the procedures; data streams are on the next one. 0: any that is free."""
    sync: bool = False
    """Wait for ticks from the beginning, so that every run begins at the same frame."""
    faults: Faults = field(default_factory=Faults)
    """What goes wrong on purpose."""


def main() -> int:
    """Serve until interrupted; 2 for a map that is none or a port that is taken."""
    import tyro

    args = tyro.cli(StandInArgs, prog="python -m learned_sim_env.carla_standin", config=(tyro.conf.FlagCreatePairsOff,))
    # CARLA's map code prints its warnings to the standard output, where nothing but our line belongs.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    maps, town = dict(TOWNS), args.town
    try:
        if args.map is not None:
            text = read_opendrive(args.map)
            # Here, where the file can be named.
            open_map(str(args.map), text)
            town = args.map.stem
            maps[town] = lambda: text
        if town not in maps:
            from learned_sim_env.spec import unknown

            raise unknown("town", town, maps)
        server = Server(maps, town, args.sync, args.faults)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        serve(
            server,
            args.host,
            args.port,
            ready=lambda: print(f"listening at {args.host}:{server.port}, {town}", file=output, flush=True),
        )
    except KeyboardInterrupt:
        return 0
    except (OSError, ValueError, ImportError) as error:
        print(f"carla_standin: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
