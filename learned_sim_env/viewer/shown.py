"""A session's present moment as a frame."""

from __future__ import annotations

from learned_sim_env.display.frame import Frame, Status
from learned_sim_env.viewer.session import Session


def frame_of(session: Session, status: Status | None = None) -> Frame:
    """The frame of the session's moment; its twin as far as the moment knows it, and no overlay."""
    moment = session.moment
    record = moment.snapshot["record"]
    return Frame(
        view=moment.view,
        ego=moment.observation["ego"],
        info=moment.info,
        step=int(moment.snapshot["step"]),
        dt=session.contract.dt,
        limit=session.max_steps,
        reward_total=float(record["reward_total"]),
        cost_total=float(record["cost_total"]),
        trail=moment.uncertainties(),
        bound=session.uncertainty_bound,
        seed=session.seed,
        twin=moment.twin,
        status=status or Status(),
    )
