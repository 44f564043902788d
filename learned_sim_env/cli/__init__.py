"""The command `learned-sim`; each subcommand is a module with `<Name>Args` and `run`."""
