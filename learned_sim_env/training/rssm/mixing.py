"""How much of what was learned from few data is kept of each part of a model: as much as unseen data speak for.

Weights between those before and after such training often predict better than either, and cost nothing more (WiSE-FT,
Wortsman et al., arXiv 2109.01903). Here unseen episodes decide for each part how far it goes from where it began, so
that one of which the data say nothing stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from learned_sim_env.world_model.rssm.model import DrivingRSSM

# How far a part may go from where it began (0) to what was learned (1).
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Modules that have losses of their own, and are parts therefore. All others have the latent state in common, and are
# one part, which goes on from what these predict.
OWN, REST = ("ego_path", "agent_motion", "detector"), "rest"


@torch.no_grad()
def mix(model: DrivingRSSM, start: DrivingRSSM, judge: Callable[[str], float]) -> dict[str, float]:
    """Bring the parts of `model` back towards `start`, in place, as far as that is better.

    judge: the loss of `model` as it is, on unseen data, by which the part called so is judged.

    Returns:
        The share that was kept of what each part had learned.
    """
    learned = {name: value.clone() for name, value in model.named_parameters()}
    before = {name: value.to(learned[name].device) for name, value in start.named_parameters()}
    kept = {}
    for part in (*OWN, REST):
        own = {name: value for name, value in model.named_parameters() if _part_of(name) == part}

        def move(share: float, own: dict[str, torch.nn.Parameter] = own) -> None:
            for name, parameter in own.items():
                parameter.copy_(torch.lerp(before[name], learned[name], share))

        losses = {}
        for share in SHARES:
            move(share)
            losses[share] = judge(part)
        # Of those that are as good, the one nearest to the start.
        kept[part] = min(SHARES, key=lambda share: losses[share])
        move(kept[part])
    return kept


def _part_of(name: str) -> str:
    """The part that a parameter belongs to."""
    module = name.partition(".")[0]
    return module if module in OWN else REST
