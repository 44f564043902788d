"""Counterfactuals to read and to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.evaluation.levels.responses.counterfactuals import Counterfactuals
from learned_sim_env.evaluation.levels.responses.measure import EFFECT, SPREAD, Responses
from learned_sim_env.reporting.display import at, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Moments whose futures are drawn.
FANS = 6
_TITLES = {
    "displacement": "Distance [m] between where the ego is in dream and twin, all actions",
    "direction": f"Share of effects over {EFFECT:g} m, compared with doing nothing, that have the twin's direction",
    "gain": "Size of the effects, compared with doing nothing: the twin's is 1",
    "order": "Spearman within a moment: of control and displacement on either side, and of both sides' displacement",
    "nothing": "Doing nothing [m]",
    "ranking": "Ranking the actions by their return",
}
_BASED_ON = {
    "displacement": ("pairs", "pairs_ended"),
    "direction": ("clear_lateral_effects", "clear_longitudinal_effects"),
    "gain": (),
    "order": ("moments_moved_by_steer", "moments_moved_by_throttle"),
    "nothing": ("nothing",),
    "ranking": ("ranked", "too_alike_to_rank"),
}
_LIMITS = (
    "The moments come from scenarios of the validation split, whose recordings were not trained on but were looked at "
    "while the model was developed; the actions are held, which no driver does. There is one twin, and agreement with "
    "it says nothing of real cars. The dream's future is its mode, so that a chance it gives to other futures is not "
    "seen, and of other vehicles only what touches the reward is compared. Positions are compared as long as the "
    "twin's episode runs: the hardest actions, which leave the road, drop out first, and the numbers at later steps "
    "are of gentler ones. Displacement errors are small where the ego is slow; directions and orders say nothing of "
    "sizes, which the gain does only on average. Nor is the twin's own order perfect, because a car at full lock "
    "turns round rather than aside. A ranking of a few held actions over a second or two is a small part of planning; "
    "where the best single action has no regret, the same one is best in every moment, and to choose it takes no "
    "knowledge of the moment. Intervals are over scenarios; they say nothing of another training run."
)


def label(action: np.ndarray) -> str:
    """An action (2,) in words."""
    steer, throttle = (round(float(x), 3) for x in action)
    words = [f"{'right' if steer > 0 else 'left'} {abs(steer):g}"] if steer else []
    words += [f"{'throttle' if throttle > 0 else 'brake'} {abs(throttle):g}"] if throttle else []
    return ", ".join(words) or "nothing"


def report(about: dict[str, Any], dream: Counterfactuals, twin: Counterfactuals, measured: Responses) -> Part:
    """The part of an evaluation; about: JSON-ready, as `responses` makes it."""
    steps, dt, actions = about["steps"], about["dt"], np.array(about["actions"])
    names = [label(action) for action in actions]
    head = [f"{steps_text(step)}, {step * dt:g} s" for step in steps]
    entries = range(len(steps))
    tables = [
        Table(
            _TITLES[name],
            ("", *head),
            (
                *((row, *(text(at(estimate, s), 3) for s in entries)) for row, estimate in rows.items()),
                *((count.replace("_", " "), *map(str, measured.counts[count])) for count in _BASED_ON[name]),
            ),
        )
        for name, rows in measured.measures.items()
    ]
    errors = measured.by_action
    tables.append(
        Table(
            "Distance [m] between where the ego is in dream and twin, by action",
            ("action", *(f"{method}, {step}" for step in head for method in errors)),
            tuple(
                (name, *(text(at(e, (a, s)), 3) for s in entries for e in errors.values()))
                for a, name in enumerate(names)
            ),
        )
    )
    middle = steps[len(steps) // 2]
    return Part(
        name="responses",
        title="L2: responds to actions",
        method=(
            f"From {len(about['contexts'])} moments of {about['scenarios']} scenarios (the checkpoint's contexts; in "
            f"{about['moving']} the ego is faster than 2 m/s), {len(names)} actions were each held for {steps[-1]} "
            "steps: in the dream, and in the twin, brought to the same moment by replaying what was driven until then. "
            f"{len(about['left_out'])} moments to which the twin did not come exactly were left out. Positions are in "
            "the frame of the ego at the start; they are compared while the twin's episode runs. The baseline keeps "
            "speed and yaw rate whatever the action. Orders are Spearman's within each moment, over the actions that "
            f"differ in one control only, in moments in which these move the twin by more than {EFFECT:g} m. A return "
            "adds up rewards, those of events among them, and nothing after the end of the episode; the dream's is "
            f"expected. Moments in which the twin's returns differ by less than {SPREAD:g} are not ranked. Regret is "
            "the share given away of the difference between the best and the worst action; the best single action is "
            "the one that would have been best if always chosen, which is known afterwards only. In brackets 95% "
            f"intervals over scenarios, {about['replicates']} bootstrap replicates."
        ),
        limits=_LIMITS,
        tables=tuple(tables),
        values={
            **about,
            "counts": plain(measured.counts),
            **plain(measured.measures),
            "displacement_by_action": {
                name: {method: plain(at(e, a)) for method, e in errors.items()} for a, name in enumerate(names)
            },
        },
        figures={
            f"Effects of actions after {middle * dt:g} s, compared with doing nothing: dream against twin": (
                lambda figure: _draw_effects(figure, dream, twin, actions, middle - 1)
            ),
            f"Where actions lead in {steps[-1] * dt:g} s: dream dashed, twin solid; colour tells the steering": (
                lambda figure: _draw_fans(figure, dream, twin, actions, about["contexts"])
            ),
        },
    )


def _draw_effects(
    figure: Figure, dream: Counterfactuals, twin: Counterfactuals, actions: np.ndarray, step: int
) -> None:
    running = twin.running[:, :, step] & twin.running[:, :1, step]
    running[:, 0] = False
    for axes, (name, axis, column) in zip(figure.subplots(1, 2), (("leftward", 1, 0), ("forward", 0, 1))):
        mine, its = (side.pose[:, :, step, axis] - side.pose[:, :1, step, axis] for side in (dream, twin))
        control = np.broadcast_to(actions[:, column], its.shape)
        dots = axes.scatter(its[running], mine[running], 9, control[running], cmap="coolwarm", vmin=-1, vmax=1)
        figure.colorbar(dots, ax=axes, label=("steer", "throttle or brake")[column])
        axes.axline((0, 0), slope=1, color="#999999", linewidth=1)
        axes.set(xlabel=f"twin: {name} effect [m]", ylabel="dream [m]")
        axes.grid(alpha=0.3)


def _draw_fans(
    figure: Figure, dream: Counterfactuals, twin: Counterfactuals, actions: np.ndarray, contexts: list[int]
) -> None:
    from matplotlib import colormaps

    shown = min(FANS, len(contexts))
    # Its upper end is too pale for lines.
    colours = colormaps["plasma"](0.45 * (actions[:, 0] + 1))
    figure.set_size_inches(12, 4)
    for i, axes in enumerate(figure.subplots(1, shown, squeeze=False, sharex=True, sharey=True)[0]):
        for a in range(len(actions)):
            for side, style in ((twin, "-"), (dream, "--")):
                x, y = side.pose[i, a, twin.running[i, a], :2].T
                axes.plot([0, *-y], [0, *x], style, color=colours[a], linewidth=1)
        axes.set(title=f"context {contexts[i]}", xlabel="to the right [m]", aspect="equal")
        axes.grid(alpha=0.3)
        if not i:
            axes.set_ylabel("forward [m]")
