"""Which of the modalities that can be drawn stands for a moment, where there is room for one."""

from __future__ import annotations

from collections.abc import Iterable

from learned_sim_env.spec import Contract


def pictured(contract: Contract, draws: Iterable[str]) -> str | None:
    """Of the modalities `draws`: the view from above, or else the first camera; None if neither is among them."""
    names = tuple(draws)
    cameras = [name for name in names if contract.modality(name).kind == "rgb"]
    return "bev" if "bev" in names else next(iter(cameras), None)
