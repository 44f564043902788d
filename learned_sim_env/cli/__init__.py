"""The command `learned-sim`; each subcommand is a module with `Args` and `run`."""
