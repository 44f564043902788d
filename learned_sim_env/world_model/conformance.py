"""Conformance of a model with `protocol.WorldModel`, to be checked before it serves as a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.spec import EGO_FIELDS, MOTION_FIELDS, Modality
from learned_sim_env.task import EVENTS, GRADED_TERMS
from learned_sim_env.world_model.protocol import CompactState, Observation, State, WorldModel, warmed_up
from learned_sim_env.world_model.traced import played

# Rows of the test batch, and imagined steps.
ROWS, STEPS = 5, 4
# How far numbers of a row may depend on the other rows if they need not be exact: rounding, and what grows from it.
TOLERANCE = 1e-2


def check_world_model(model: WorldModel, exact: bool = False, seed: int = 0) -> None:
    """Check all that the protocol requires of a model, on random observations and actions.

    Args:
        model: in evaluation mode, on any device; trained or not.
        exact: require that what is imagined of a row is the same to the bit whatever the other rows are, so that seeded
            episodes are the same in vectors of any size; see `layers.linear`. Otherwise rounding is accepted.
        seed: of the random inputs.

    Raises:
        ValueError: naming the first violation of the protocol.
    """
    threads = torch.get_num_threads()
    # As environments call models with few rows.
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            _Check(model, exact, seed).run()
    finally:
        torch.set_num_threads(threads)


class _Check:
    def __init__(self, model: WorldModel, exact: bool, seed: int):
        self.model, self.exact = model, exact
        self._chance = np.random.default_rng(seed)

    def run(self) -> None:
        """Run all checks, those of the declarations first."""
        model = self.model
        _require(not getattr(model, "training", False), "the model is in training mode: call its eval()")
        self._declared()
        initial = model.initial(ROWS)
        self.device = next(iter(initial.values())).device
        self.layout = {name: (tuple(x.shape[1:]), x.dtype, x.device) for name, x in model.initial(1).items()}
        self._fits("initial", initial)
        for name, value in initial.items():
            _require((value == value[:1]).all(), f"initial gives {name!r} that differs from row to row")
        modalities = [model.contract.modality(name) for name in model.observes]
        seen = {m.name: self._random(m, model.context_steps) for m in modalities}
        context = self._actions(model.context_steps)
        state = warmed_up(model, seen, context)
        self._fits("observe", state)
        _same("observe involves chance:", state, self._otherwise(lambda: warmed_up(model, seen, context)))
        self._imagined(state)
        self._decoded(model.decode(state), state)
        self._drawn(state)
        self._independent(seen, context, state)
        self._recorded(state)
        self._compact(state)
        self._fits("in_bfloat16().observe", warmed_up(model.in_bfloat16(), seen, context))

    def _declared(self) -> None:
        model, known = self.model, [m.name for m in self.model.contract.modalities]
        for what in ("observes", "draws"):
            names = getattr(model, what)
            _require(isinstance(names, tuple), f"{what} is {names!r}, which is no tuple of names")
            for name in names:
                _require(name in known, f"{what} has {name!r}, which the contract has not: {', '.join(known)}")
        _require("ego" in model.observes, f"observes is {model.observes}: 'ego' must be among them")
        for what, least in (("context_steps", 1), ("latent_size", 1), ("noise_size", 0)):
            value = getattr(model, what)
            _require(isinstance(value, int) and value >= least, f"{what} is {value!r}, which is not at least {least}")

    def _imagined(self, state: State) -> None:
        model, action, noise = self.model, self._actions()[:, 0], self._noise()
        before = {name: value.clone() for name, value in state.items()}
        after = model.imagine(state, action, noise)
        _same("imagine changes the state that it is given:", before, state)
        self._fits("imagine", after)
        again = self._otherwise(lambda: model.imagine(state, action, noise))
        _same("imagine has another source of chance than `noise`:", after, again)
        mode = model.imagine(state, action, None)
        self._fits("imagine without noise", mode)
        again = self._otherwise(lambda: model.imagine(state, action, None))
        _same("imagine involves chance without noise:", mode, again)
        self._fits("imagine at temperature 0.5", model.imagine(state, action, noise, 0.5))

    def _decoded(self, heads: Mapping[str, Tensor], state: State) -> None:
        sizes = {"ego": len(EGO_FIELDS), "motion": len(MOTION_FIELDS), "terms": len(GRADED_TERMS)}
        sizes |= {"events": len(EVENTS), "features": self.model.latent_size}
        shapes = {"uncertainty": (ROWS,), **{name: (ROWS, size) for name, size in sizes.items()}}
        _require(heads.keys() == shapes.keys(), f"decode gives {sorted(heads)}, and should {sorted(shapes)}")
        for name, shape in shapes.items():
            found = heads[name]
            _require(found.shape == shape, f"decode gives {name!r} of shape {tuple(found.shape)}, expected {shape}")
            _require(found.dtype == torch.float32, f"decode gives {name!r} as {found.dtype}, expected float32")
            _require(found.isfinite().all(), f"decode gives {name!r} that is not finite")
        events = heads["events"]
        _require(((events >= 0) & (events <= 1)).all(), "decode gives 'events' that are no probabilities")
        _require((heads["uncertainty"] >= 0).all(), "decode gives 'uncertainty' below 0")
        _same(
            "features are not those of decode:",
            {"features": heads["features"]},
            {"features": self.model.features(state)},
        )

    def _drawn(self, state: State) -> None:
        model, draws = self.model, self.model.draws
        for names in (draws, *((name,) for name in draws)):
            shown, after = model.draw(state, names)
            _require(set(shown) == set(names), f"draw was asked for {names}, and gives {tuple(shown)}")
            self._fits("draw", after)
            for name in names:
                self._shown(model.contract.modality(name), shown[name])
            again, _ = self._otherwise(lambda s=after, n=names: model.draw(s, n))
            _same("drawing again gives another picture:", shown, again)
        action, noise = self._actions()[:, 0], self._noise()
        _, seen = model.draw(state, draws)
        unseen_future, seen_future = (model.decode(model.imagine(s, action, noise)) for s in (state, seen))
        _same("what is imagined depends on whether draw was called:", unseen_future, seen_future)

    def _shown(self, modality: Modality, found: Tensor) -> None:
        wanted = (ROWS, *modality.shape), str(modality.dtype)
        got = tuple(found.shape), str(found.dtype).removeprefix("torch.")
        _require(got == wanted, f"draw gives {modality.name!r} as {got[1]} of shape {got[0]}, expected {wanted[::-1]}")
        if modality.kind == "classes":
            most = int(modality.limits[1].max())
            _require(int(found.max()) <= most, f"draw gives {modality.name!r} with class {int(found.max())} of {most}")

    def _independent(self, seen: Observation, context: Tensor, state: State) -> None:
        """Each row alone, and all rows in another order, give the same results."""
        actions, noise = self._actions(STEPS), torch.stack([self._noise() for _ in range(STEPS)], 1)
        observed, imagined = self.model.decode(state), self._future(state, actions, noise)
        for rows in (*([row] for row in range(ROWS)), list(range(ROWS))[::-1]):
            alone = warmed_up(self.model, {n: x[rows] for n, x in seen.items()}, context[rows])
            # Starts are observed in batches of a fixed size: rounding may depend on it.
            self._alike("observed", rows, observed, self.model.decode(alone), exact=False)
            some = self._future({n: x[rows] for n, x in state.items()}, actions[rows], noise[rows])
            self._alike("imagined", rows, imagined, some, self.exact)

    def _alike(
        self, how: str, rows: list[int], all_: Mapping[str, Tensor], some: Mapping[str, Tensor], exact: bool
    ) -> None:
        for name, value in all_.items():
            one, other = value[rows], some[name]
            fits = torch.equal(one, other) if exact else torch.allclose(one, other, TOLERANCE, TOLERANCE)
            apart = (one - other).abs().max()
            _require(
                fits, f"{name!r} of rows {rows}, {how}, depends on the rows beside them: it differs by {apart:.2g}"
            )

    def _future(self, state: State, actions: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Outputs of the heads after some imagined steps."""
        for t in range(STEPS):
            state = self.model.imagine(state, actions[:, t], noise[:, t])
        return self.model.decode(state)

    def _recorded(self, state: State) -> None:
        if not (self.model.static_graph and isinstance(self.model, nn.Module)):
            return
        arguments = state, self._actions()[:, 0], self._noise()
        step = played(self.model, "imagine", arguments)
        others = (step(*arguments), self._actions()[:, 0], self._noise())
        expected = self.model.imagine(*others)
        _same("static_graph is True, but imagine played back gives something else:", step(*others), expected)

    def _compact(self, state: State) -> None:
        model = self.model
        if isinstance(model, CompactState):
            first, second = (model.expand(model.compact(state)) for _ in range(2))
            self._fits("expand", first)
            _same("expand gives another state each time:", first, second)

    def _fits(self, what: str, state: State) -> None:
        names = sorted(state)
        _require(names == sorted(self.layout), f"{what} gives a state of {names}, initial one of {sorted(self.layout)}")
        for name, value in state.items():
            shape, dtype, device = self.layout[name]
            found, wanted = (tuple(value.shape), value.dtype, value.device), ((ROWS, *shape), dtype, device)
            _require(found == wanted, f"{what} gives {name!r} as {found}, by initial it is {wanted}")
            _require(value.isfinite().all(), f"{what} gives {name!r} that is not finite")

    def _otherwise(self, call: Any) -> Any:
        """The result of the same call with another state of torch's own generator."""
        torch.manual_seed(int(self._chance.integers(2**31)))
        return call()

    def _random(self, modality: Modality, steps: int) -> Tensor:
        low, high = modality.limits
        shape = (ROWS, steps, *modality.shape)
        if modality.kind == "vector":
            return torch.from_numpy(self._chance.uniform(low / 4, high / 4, shape).astype(np.float32)).to(self.device)
        return torch.from_numpy(self._chance.integers(low, high.astype(int) + 1, shape).astype(np.uint8)).to(
            self.device
        )

    def _actions(self, steps: int = 1) -> Tensor:
        return torch.from_numpy(self._chance.uniform(-1, 1, (ROWS, steps, 2)).astype(np.float32)).to(self.device)

    def _noise(self) -> Tensor:
        return torch.from_numpy(self._chance.random((ROWS, self.model.noise_size), np.float32)).to(self.device)


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _same(what: str, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    for name, value in first.items():
        _require(torch.equal(value, second[name]), f"{what} {name!r} differs")
