"""Flags of `learned-sim train` with which a run of a few steps, and what follows it, takes a few seconds."""

from __future__ import annotations

import shlex

TINY = shlex.split(
    "--model rssm-tiny --batch-size 4 --path-batch 8 --path-steps 3 --agent-batch 4 --agent-steps 3 --head-windows 64 "
    "--head-steps 4 --horizon 6 --warmup 2 --no-bf16 --contexts 4"
)
