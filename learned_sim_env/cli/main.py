"""`learned-sim`: dispatches to one module a subcommand, imported only when it is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from learned_sim_env.failures import MENDABLE, line_of
from learned_sim_env.interrupts import exit_status, interrupts
from learned_sim_env.spec import unknown
from learned_sim_env.version import __version__

# Name of the module learned_sim_env.cli.<name>, but for those of `MODULES`, and what it does. Each has a frozen
# dataclass of its arguments, `<Name>Args`, and `run(args)`; where options depend on the command line, `args_for(argv)`
# gives the dataclass.
COMMANDS = {
    "drive": "drive in a dream yourself, or watch a policy drive",
    "demo": "drive in a learned environment and film it beside its twin",
    "collect": "record episodes of a simulator as a dataset",
    "import": "turn recordings of real driving into a dataset, or look what is wrong with them",
    "train": "train a world model on a dataset",
    "build": "make a checkpoint by its recipe, from collection to card",
    "evaluate": "measure how far a world model may be trusted",
    "compare": "drive two environments alike and compare them: dream and twin, or two simulators",
    "learn": "learn to drive in a world model's imagination, with one of the agents",
    "transfer": "learn to drive in the dream, drive in the simulator, and compare policies in both",
    "regress": "drive a policy through a suite of scenarios and judge it against a baseline",
    "stress": "look for what makes a policy fail, and how plausible that is",
    "bench": "measure the speed of the environments",
    "info": "show what is installed, which environments exist and whether they can run",
}


# Of those whose names are words of Python.
MODULES = {"import": "imports"}


def usage() -> str:
    """Help text of `learned-sim` itself."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: learned-sim [-h] [--version] COMMAND ...\n\n"
        f"A trained world model as a driving environment.\n\ncommands:\n{commands}\n\n"
        "learned-sim COMMAND --help shows the options of a command."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (`sys.argv` if None) and return its exit status.

    An error that the user can mend is printed as one line, with status 2; wrong options exit with status 2 as well.
    Asked to end by a signal, a command saves what it has, and the status is 128 and the signal's number.
    """
    for stream in (sys.stdout, sys.stderr):
        # A folder's name may have letters that the terminal has not: no reason to lose what was computed.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    name, *rest = argv
    try:
        if name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        import tyro

        command = importlib.import_module(f"learned_sim_env.cli.{MODULES.get(name, name)}")
        kind = command.args_for(rest) if hasattr(command, "args_for") else getattr(command, f"{name.capitalize()}Args")
        args = tyro.cli(kind, prog=f"learned-sim {name}", args=rest, config=(tyro.conf.FlagCreatePairsOff,))
        with interrupts():
            return command.run(args) or 0
    except MENDABLE as error:
        print(f"learned-sim: error: {line_of(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        return exit_status(interrupt)


if __name__ == "__main__":
    sys.exit(main())
