"""Sizes of the transformer: the architecture part of a checkpoint's `config.json`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TransformerConfig:
    """Architecture of `DrivingTransformer`.

    Widths are multiples of 32: with others a CPU rounds what is left over of a tensor differently, and rows of a batch
    would no longer be the same, bit for bit, alone and among others.

    Raises:
        ValueError: for sizes that do not go together.
    """

    modalities: tuple[str, ...] = ()  # that are tokens; empty: all of the contract's but "ego"
    patch: int = 16  # [pixels] side of the squares that are hidden or not while the tokenizer learns
    widths: tuple[int, int] = (96, 128)  # of convolutions of pictures in squares of 4 and of 8 pixels
    encoder_blocks: tuple[int, int] = (1, 1)  # residual blocks of either
    decoder_blocks: tuple[int, int] = (1, 2)
    channels: int = 64  # numbers a token, in (-1, 1)
    tokenizer_width: int = 192
    tokenizer_heads: int = 6
    tokenizer_kv_heads: int = 2
    encoder_depth: int = 1
    decoder_depth: int = 2
    encoder_window: int = 4  # frames that an encoded frame depends on
    width: int = 256
    heads: int = 8
    kv_heads: int = 2  # keys and values are shared by heads / kv_heads heads (GQA)
    depth: int = 6
    time_every: int = 3  # every so many layers, one attends over time instead of over a frame
    expand: int = 2  # hidden width of a feed-forward layer, in widths
    soft_cap: float = 50.0  # of attention logits; 0: none
    registers: int = 4
    agents: int = 1  # tokens that heads read
    window: int = 24  # frames that a frame depends on in one layer over time, itself among them
    head_hidden: int = 128
    ahead: int = 8  # steps whose reward terms and events are predicted (only the first is used in a dream)
    finest: int = 8  # smallest steps of a frame's denoising, in all: Kmax
    steps: int = 4  # taken in a dream: K
    prediction: str = "x"  # what the network gives: the clean tokens, or "v", the direction towards them
    doubt_seeds: int = 2  # samples of every dreamt frame, in a step each, whose spread is a sign of doubt; 0: none
    doubt_cycle: bool = True  # whether another is what becomes of it when it is drawn and encoded again
    moved: bool = True  # whether the frame before, an input of the next one, is moved with the ego; else as it is
    noise: float = 0.4  # standard deviation of noise: about that of tokens, since much more drowns them
    context_signal: float = 0.9  # share of truth in frames that are done with; the rest is noise
    context_steps: int = 5  # real moments before a dream

    def __post_init__(self) -> None:
        powers = [1 << k for k in range(self.finest.bit_length())]
        if self.finest not in powers or self.steps not in powers:
            raise ValueError(
                f"steps {self.steps!r} and finest {self.finest!r} are not powers of two, the first at most the second"
            )
        if self.patch % 4:
            raise ValueError(f"patch {self.patch!r} is not a multiple of 4 pixels")
        if self.prediction not in ("x", "v"):
            raise ValueError(f"prediction {self.prediction!r} is not 'x' or 'v'")
        if not self.context_level:
            raise ValueError(
                f"context_signal {self.context_signal!r} leaves nothing of a frame, on a grid of finest {self.finest!r}"
            )
        if not self.noise > 0:
            raise ValueError(f"noise {self.noise!r} is not above 0: give about the standard deviation of tokens")
        for name in ("width", "tokenizer_width", "channels", "head_hidden", "widths"):
            value = getattr(self, name)
            if any(size % 32 for size in (value if isinstance(value, tuple) else (value,))):
                raise ValueError(f"{name} {value!r} is not a multiple of 32")
        for width, heads in (("width", "heads"), ("tokenizer_width", "tokenizer_heads")):
            if getattr(self, width) % (2 * getattr(self, heads)):
                raise ValueError(
                    f"{heads} {getattr(self, heads)!r} cannot share {width} {getattr(self, width)!r} evenly"
                )
        for name in ("window", "encoder_window"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} {getattr(self, name)!r} is less than 2: a frame and one before it")
        for heads, shared in (("heads", "kv_heads"), ("tokenizer_heads", "tokenizer_kv_heads")):
            if getattr(self, heads) % getattr(self, shared):
                raise ValueError(f"{shared} {getattr(self, shared)!r} does not divide {heads} {getattr(self, heads)!r}")

    @property
    def past(self) -> int:
        """Frames before it that a frame attends to: those which a cache holds."""
        return self.window - 1

    @property
    def time_layers(self) -> int:
        """Layers that attend over time."""
        return self.depth // self.time_every

    @property
    def context_level(self) -> int:
        """`context_signal` on the grid of levels that the network knows, of 0 to `finest` - 1."""
        return min(round(self.context_signal * self.finest), self.finest - 1)

    @property
    def context_share(self) -> float:
        """Share of truth in frames that are done with, which is that of `context_level`."""
        return self.context_level / self.finest


# What `learned-sim train --model` offers.
SIZES = {
    "transformer-tiny": TransformerConfig(
        patch=8,
        channels=32,
        widths=(32, 32),
        decoder_blocks=(1, 1),
        tokenizer_width=32,
        tokenizer_heads=2,
        tokenizer_kv_heads=1,
        encoder_depth=1,
        decoder_depth=1,
        encoder_window=2,
        width=64,
        heads=2,
        kv_heads=1,
        depth=4,
        time_every=2,
        registers=1,
        window=8,
        head_hidden=32,
        ahead=2,
    ),
    "transformer-small": TransformerConfig(finest=16),
}
