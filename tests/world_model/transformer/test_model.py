"""The transformer as a world model: states, chance, rows, snapshots."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Start
from learned_sim_env.world_model import protocol
from learned_sim_env.world_model.registry import architecture_of, model_of_size
from learned_sim_env.world_model.traced import played
from learned_sim_env.world_model.transformer.config import SIZES, TransformerConfig
from learned_sim_env.world_model.transformer.doubt import spread
from learned_sim_env.world_model.transformer.ego import moved
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from learned_sim_env.world_model.transformer.sampler import sample_frame
from tests.tiny_transformer import CONTRACT, actions, driven, noise, some


@torch.inference_mode()
def test_states_keep_names_shapes_and_dtypes(model: DrivingTransformer) -> None:
    first = model.initial(2)
    seen = model.observe(first, actions(2, 0), some(model, 2, 0))
    dreamt = model.imagine(seen, actions(2, 1), noise(model, 2, 1))
    for state in (seen, dreamt, model.imagine(seen, actions(2, 1), None)):
        assert list(state) == list(first)
        assert all(state[n].shape == v.shape and state[n].dtype == v.dtype for n, v in first.items())
    pictures, after = model.draw(dreamt, ("bev", "left"))
    assert list(pictures) == ["bev", "left"] and after is dreamt
    heads = model.decode(dreamt)
    shapes = {name: tuple(value.shape) for name, value in heads.items()}
    assert shapes == {
        "ego": (2, 6),
        "motion": (2, 3),
        "terms": (2, 4),
        "events": (2, 4),
        "uncertainty": (2,),
        "features": (2, model.latent_size),
    }
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in heads.values())
    assert (heads["uncertainty"] >= 0).all() and (heads["events"] > 0).all() and (heads["events"] < 1).all()


@torch.inference_mode()
def test_the_ego_is_told_exactly_and_followed_kinematically(model: DrivingTransformer) -> None:
    seen = some(model, 2, 3)
    state = model.observe(model.initial(2), actions(2, 3), seen)
    assert torch.equal(model.decode(state)["ego"], seen["ego"])
    after = model.imagine(state, actions(2, 4), noise(model, 2, 4))
    motion, ego = model.decode(after)["motion"], model.decode(after)["ego"]
    assert torch.equal(ego[:, 2:4], actions(2, 4))
    torch.testing.assert_close(ego[:, 1] * model.contract.dt, motion[:, 2])
    # The rest of where it is beside the route is a correction that a head makes.
    correction = model.heads(model.features(after)).correction
    torch.testing.assert_close(ego[:, 4:], moved(seen["ego"][:, 4:], motion) + correction)


def test_beside_a_straight_route_the_ego_is_where_its_motion_takes_it() -> None:
    """Left of the route and turned left: it goes further left."""
    beside, motion = torch.tensor([1.0, 0.1]), torch.tensor([2.0, 0.0, 0.05])
    torch.testing.assert_close(moved(beside, motion), torch.tensor([1 + 2 * np.sin(0.1), 0.15]).float())
    sideways = moved(torch.tensor([0.0, np.pi]).float(), torch.tensor([0.0, 1.0, 0.2]))
    torch.testing.assert_close(sideways, torch.tensor([-1.0, 0.2 - np.pi]).float())


@torch.inference_mode()
def test_chance_is_in_the_noise_alone(model: DrivingTransformer) -> None:
    state, action = driven(model, 2, 3, 0), actions(2, 5)

    def tokens(*arguments: object) -> torch.Tensor:
        return model.imagine(state, action, *arguments)["tokens"][:, -1]

    one, other = noise(model, 2, 1), noise(model, 2, 2)
    assert torch.equal(tokens(one), tokens(one)) and not torch.equal(tokens(one), tokens(other))
    assert torch.equal(tokens(None), tokens(None)) and not torch.equal(tokens(None), tokens(one))
    # The lower the temperature, the nearer to what is likeliest; there, chance has no effect.
    far = [float((tokens(one, t) - tokens(None)).float().norm()) for t in (1.0, 0.3, 1e-4)]
    assert far[0] > far[1] > far[2]
    assert torch.equal(tokens(torch.full_like(one, 0.5)), tokens(None)) or far[2] < 0.05 * far[0]


@torch.inference_mode()
@pytest.mark.parametrize("rows", [2, 3, 5, 16])
def test_rows_are_the_same_bit_for_bit_alone_and_among_others(model: DrivingTransformer, rows: int) -> None:
    """Across the turn of the ring, in all of the state, heads and pictures."""
    frames = model.config.window + 3
    together, alone = driven(model, rows, 3, frames), driven(model, 1, 3, frames)
    for name, value in alone.items():
        assert torch.equal(together[name][:1], value), name
    for name, value in model.decode(alone).items():
        assert torch.equal(model.decode(together)[name][:1], value), name
    for name, value in model.draw(alone, model.draws)[0].items():
        assert torch.equal(model.draw(together, model.draws)[0][name][:1], value), name


def test_a_rollout_depends_on_seed_and_actions_alone(model: DrivingTransformer) -> None:
    """Whatever the other rows do, wherever a row stands; as the environments drive it."""
    state = driven(model, 1, 3, 0)
    start = Start(state, model.decode(state)["ego"].numpy())

    def roll(seeds: list[int], steps: int) -> tuple[np.ndarray, list[np.ndarray]]:
        rollout = Rollout(model, len(seeds), Inference(torch.device("cpu")))
        rollout.start(np.arange(len(seeds)), start, np.array(seeds))
        egos = [rollout.step(np.full((len(seeds), 2), 0.2, np.float32)).ego for _ in range(steps)]
        return rollout.features(), egos

    alone, egos = roll([7], 5)
    features, others = roll([3, 7, 7], 5)
    assert np.array_equal(features[1:2], alone) and np.array_equal(features[2:], alone)
    assert not np.array_equal(features[:1], alone)
    assert all(np.array_equal(a[:1], b[1:2]) for a, b in zip(egos, others))


@torch.inference_mode()
def test_a_frame_begins_with_the_drawing_of_the_one_before_moved(model: DrivingTransformer) -> None:
    state = driven(model, 2, 3, 1)
    tokens, shown = state["tokens"][:, -1], model.draw(state, model.draws)[0]
    for name, value in model.tokenizer.drawn(tokens, model.draws).items():
        assert torch.equal(shown[name], value), name
    after = model.imagine(state, actions(2, 9), noise(model, 2, 9))
    moved = model.moved(tokens, shown, after["motions"][:, -1])
    assert torch.equal(after["moved"][:, -1], moved)
    # Without motion it is the drawing, encoded again.
    still = model.moved(tokens, shown, torch.zeros(2, 3))
    assert torch.equal(still, model.tokenizer.encode_alone(shown).half()) and not torch.equal(still, moved)
    # So it is after a real frame, of which the drawing counts and not the picture; a row's first one stood still.
    seen = model.observe(state, actions(2, 9), some(model, 2, 9))
    assert torch.equal(seen["moved"][:, -1], model.moved(tokens, shown, seen["motions"][:, -1]))
    first = model.observe(model.initial(2), actions(2, 9), some(model, 2, 9))
    drawn = model.draw(first, model.draws)[0]
    assert torch.equal(first["moved"][:, -1], model.tokenizer.encode_alone(drawn).half())


@torch.inference_mode()
def test_the_frame_before_may_stay_as_it_is(model: DrivingTransformer) -> None:
    plain = DrivingTransformer(replace(model.config, moved=False), CONTRACT).eval()
    plain.load_state_dict(model.state_dict())
    state = driven(plain, 2, 3, 2)
    assert torch.equal(state["moved"][:, -4:], state["tokens"][:, -5:-1])
    assert torch.equal(plain.expand(plain.compact(state))["keys_0"], state["keys_0"])


@torch.inference_mode()
@pytest.mark.parametrize("frames", [0, 2, 30])
def test_compact_states_are_small_and_expand_to_the_same(model: DrivingTransformer, frames: int) -> None:
    """Bit for bit, of rows of different ages, before the ring is full and after."""
    old, young = driven(model, 2, 2, frames), driven(model, 1, 1, 0)
    state = {name: torch.cat([old[name], young[name]]) for name in old}
    assert isinstance(model, protocol.CompactState)
    kept = protocol.compact(model, state)
    rings = {"keys_0", "values_0", "keys_1", "values_1"}
    assert {name for name in state if name not in kept} == rings | {f"shown_{name}" for name in model.draws}
    back = protocol.expand(model, kept)
    assert set(back) == set(state)
    for name, value in state.items():
        assert torch.equal(back[name], value), name


@torch.inference_mode()
def test_doubt_follows_from_two_signals_and_not_from_chance(model: DrivingTransformer) -> None:
    state, action = driven(model, 2, 3, 1), actions(2, 5)
    one, other = (model.imagine(state, action, noise(model, 2, k)) for k in (1, 2))
    assert (one["signals"] > 0).all() and torch.equal(one["signals"][:, 0], other["signals"][:, 0])
    assert not torch.equal(one["signals"][:, 1], other["signals"][:, 1]), "frames that differ are told apart"
    told = [model.decode({**one, "signals": one["signals"] * k})["uncertainty"] for k in (1, 3)]
    assert not torch.equal(*told)
    # What was just seen is certain.
    seen = model.observe(one, action, some(model, 2, 7))
    assert not seen["signals"].any() and not model.decode(seen)["uncertainty"].any()
    quick = DrivingTransformer(replace(model.config, doubt_seeds=0, doubt_cycle=False), CONTRACT).eval()
    quick.load_state_dict(model.state_dict())
    after = quick.imagine(state, action, noise(model, 2, 1))
    assert not after["signals"].any() and torch.equal(after["tokens"], one["tokens"])


@torch.inference_mode()
def test_the_spread_is_that_of_samples_by_hand(model: DrivingTransformer) -> None:
    state = driven(model, 1, 3, 0)
    network, past = model.dynamics, model._past(state)
    condition = torch.randn(1, 2, model.config.width)
    before = torch.randn(1, model.tokenizer.count, 64)
    starts = [sign * model.patterns[3:4] for sign in (-1, 1)]
    a, b = (sample_frame(network, start, before, condition, past, 1) for start in starts)
    expected = ((a - b) / 2).square().mean().sqrt()
    torch.testing.assert_close(spread(network, model.patterns, before, condition, past, 2)[0], expected)


@torch.inference_mode()
def test_what_is_remembered_does_not_grow_nor_take_longer(model: DrivingTransformer) -> None:
    """State and time of a step at 10,000 as at 10; and nothing becomes not a number or leaves its bounds."""
    state = driven(model, 1, 3, 10)
    sizes = {name: value.numel() for name, value in state.items()}
    steered = actions(1, 0)
    step = played(model, "imagine", (state, steered, noise(model, 1, 0)))

    def seconds(count: int) -> float:
        nonlocal state
        times = []
        for t in range(count):
            began = time.process_time()
            state = step(state, steered, noise(model, 1, t))
            times.append(time.process_time() - began)
        return float(np.median(times))

    early = seconds(20)
    # As if 10,000 steps had gone by: the ring turns, and the count is all that tells.
    state = {**state, "frames": state["frames"] + 10_000}
    late = seconds(20)
    assert late < 2 * early + 1e-3
    assert {name: value.numel() for name, value in state.items()} == sizes
    assert all(value.isfinite().all() for value in state.values())
    assert state["tokens"].abs().max() <= 1


@torch.inference_mode()
@pytest.mark.slow
def test_for_half_a_thousand_steps_all_is_finite_and_bounded(model: DrivingTransformer) -> None:
    with torch.inference_mode():
        state = driven(model, 2, 5, 0)
        pictures = []
        for t in range(500):
            state = model.imagine(state, actions(2, t), noise(model, 2, t))
            told = model.decode(state)
            if t % 100 == 99:
                drawn, state = model.draw(state, ("front", "bev"))
                pictures.append(drawn["front"].float())
            for name, value in {**state, **told}.items():
                assert torch.isfinite(value).all(), (name, t)
            assert state["tokens"].abs().max() <= 1
    # Pictures still differ within themselves, from row to row and over time.
    last, before = pictures[-1], pictures[-2]
    assert last.std((1, 2, 3)).min() > 1 and (last[0] - last[1]).abs().mean() > 0.1 and (last != before).any()


def test_recorded_and_played_back_it_is_the_same(model: DrivingTransformer) -> None:
    assert model.static_graph and not DrivingTransformer(SIZES["transformer-tiny"], CONTRACT).static_graph
    state, action = driven(model, 2, 3, 2), actions(2, 9)
    step = played(model, "imagine", (state, action, noise(model, 2, 0)))
    for t in range(3):
        plain, fast = (f(state, action, noise(model, 2, t)) for f in (model.imagine, step))
        assert all(torch.equal(plain[name], fast[name]) for name in plain)
        state = plain


@torch.inference_mode()
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_frames_take_one_two_or_four_steps(model: DrivingTransformer, steps: int) -> None:
    state = driven(model, 1, 2, 0)
    other = DrivingTransformer(replace(model.config, steps=steps), CONTRACT).eval()
    other.load_state_dict(model.state_dict())
    after = other.imagine(state, actions(1, 0), noise(model, 1, 0))
    assert after["tokens"].isfinite().all() and after["frames"] == 3
    if steps != model.config.steps:
        assert not torch.equal(after["tokens"], model.imagine(state, actions(1, 0), noise(model, 1, 0))["tokens"])


@torch.inference_mode()
def test_real_frames_after_a_dream_do_not_go_on_from_those_before_it(model: DrivingTransformer) -> None:
    """The encoder has not seen what lies between: its tokens are as of a first frame."""
    state = model.observe(driven(model, 1, 3, 2), actions(1, 9), some(model, 1, 9))
    fresh = model.observe(model.initial(1), actions(1, 9), some(model, 1, 9))
    assert torch.equal(state["tokens"][:, -1], fresh["tokens"][:, -1])
    assert not torch.equal(state["agents"], fresh["agents"])


@torch.inference_mode()
def test_in_bfloat16_it_is_about_the_same_and_states_keep_their_dtypes(model: DrivingTransformer) -> None:
    half = DrivingTransformer(SIZES["transformer-tiny"], CONTRACT).eval().in_bfloat16()
    state = half.observe(half.initial(2), actions(2, 0), some(half, 2, 0))
    after = half.imagine(state, actions(2, 1), noise(half, 2, 1))
    assert all(after[name].dtype == value.dtype for name, value in half.initial(2).items())
    assert {p.dtype for p in half.dynamics.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.ego_path.parameters()} == {torch.float32}
    whole = half.float()
    same = whole.observe(whole.initial(2), actions(2, 0), some(whole, 2, 0))
    torch.testing.assert_close(same["tokens"], state["tokens"], atol=0.05, rtol=0.05)


def test_it_is_registered_and_fits_any_contract() -> None:
    model = model_of_size("transformer-tiny", CONTRACT)
    assert architecture_of(model) == "transformer"
    assert model.observes == ("front", "left", "right", "route", "bev", "ego") and model.draws == model.observes[:-1]
    chosen = DrivingTransformer(replace(SIZES["transformer-tiny"], modalities=("bev",)), CONTRACT)
    assert chosen.observes == ("bev", "ego") and chosen.noise_size == 16 * 32
    with pytest.raises(ValueError, match="sonar"):
        DrivingTransformer(replace(SIZES["transformer-tiny"], modalities=("sonar",)), CONTRACT)


def test_the_one_that_ships_leaves_room_for_contexts() -> None:
    """Sixty-four of them, of 100 kB each, in a checkpoint of 25 MB whose weights have two bytes each."""
    model = model_of_size("transformer-small", CONTRACT)
    weights = sum(value.numel() for value in model.state_dict().values())
    assert 2 * weights + 64 * 100e3 < 25e6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 3}, "powers of two"),
        ({"steps": 16}, "powers of two"),
        ({"prediction": "eps"}, "'eps' is not 'x' or 'v'"),
        ({"patch": 6}, "patch 6 is not a multiple of 4 pixels"),
        ({"widths": (96, 100)}, r"widths \(96, 100\) is not a multiple of 32"),
        ({"width": 100}, "width 100 is not a multiple of 32"),
        ({"heads": 3}, "heads 3"),
        ({"kv_heads": 3}, "kv_heads 3 does not divide heads 8"),
        ({"window": 1}, "window 1 is less than 2"),
        ({"noise": 0.0}, "noise 0.0 is not above 0"),
        ({"context_signal": 0.01}, "context_signal 0.01 leaves nothing"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**wrong)
