"""Whether imagined cameras agree with each other, as a part of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.evaluation.levels.cameras.frame_futures import TRUE, FrameFutures, steps_up_to
from learned_sim_env.evaluation.open_loop import MODEL
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate, ratio
from learned_sim_env.reporting.display import STYLES, at, curve, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table, Target, not_applicable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME, TITLE = "camera_seams", "L1: do the cameras agree?"
# What the dream's seam error may be, as a multiple of the recorded frames' own; and the steps at which it is asked.
MOST, ASKED = 1.3, (1, 15, 30)
_TIMES = "model / recorded"


def seams_part(found: FrameFutures, weights: np.ndarray, horizon: int) -> Part:
    """weights: (R, N), see `bootstrap.resample`."""
    if not found.seams:
        return not_applicable(NAME, TITLE, "no two of the cameras share an optical centre and look at the same")
    steps = steps_up_to(horizon)
    errors = {
        pair: {method: ego.mean_at(weights, values, found.valid) for method, values in methods.items()}
        for pair, methods in found.seams.items()
    }
    seams = {
        pair: {
            **{method: Estimate.of(means) for method, means in methods.items()},
            _TIMES: Estimate.of(ratio(methods[MODEL], methods[TRUE])),
        }
        for pair, methods in errors.items()
    }
    rows = tuple(
        (pair, row, *(text(at(estimate, i), 2) for i in range(len(steps))))
        for pair, estimates in seams.items()
        for row, estimate in estimates.items()
    )

    def draw(figure: Figure) -> None:
        figure.set_size_inches(5 * len(seams), 3.8)
        for axis, (pair, estimates) in zip(figure.subplots(1, len(seams), squeeze=False)[0], seams.items()):
            for method, style in zip((MODEL, TRUE), STYLES):
                curve(axis, steps, estimates[method], method, style)
            axis.set(title=pair, xlabel="steps after the context", ylabel="levels of 255", ylim=(0, None))
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)

    return Part(
        name=NAME,
        title=TITLE,
        method=(
            "Where two cameras look at the same, the frame of the first is compared with that of the second, "
            "reprojected into it: mean absolute difference of colours, in levels of 255. The cameras have one optical "
            "centre, so that the reprojection is a turn and needs no depth. The recorded frames have a seam error "
            "too, from blending between pixels and from drops of rain: what is asked is how many times that the "
            "dream's is. The futures are those of the camera frames above."
        ),
        limits=(
            "Cameras may agree about what is wrong, and pictures that are blurred agree more easily than sharp ones, "
            "so that a ratio below 1 is no praise. Only a strip of each picture is seen twice."
        ),
        tables=(Table("Seam error [levels of 255]", ("cameras", "frames", *(steps_text(s) for s in steps)), rows),),
        values={"steps": steps, "seams": plain(seams)},
        figures={"Seam error": draw},
        targets=tuple(
            Target.most(f"seam error, {pair}, {steps_text(s)}", MOST, float(e[_TIMES].value[i]), unit="times recorded")
            for pair, e in seams.items()
            for i, s in enumerate(steps)
            if s in ASKED
        ),
    )
