"""Building blocks of the networks."""

from __future__ import annotations

import functools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# A CPU rounds a product of matrices differently for fewer rows than this and, on several threads, for a number of rows
# or columns that is no multiple of this.
BLOCK = 16
# Of more inputs than this it adds up parts, of which there are as many as suits the number of rows and threads.
DEEP = 383


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear`, each row of its result the same to the bit whatever the other rows and however many there are.

    This holds on a CPU, for a frozen model.

    x: (..., size). weight: (out, size).
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.linear(x, weight, bias)
    rows, size, out = int(x.shape[:-1].numel()), int(x.shape[-1]), len(weight)
    several = torch.get_num_threads() > 1
    spare = -out % BLOCK if several and out > BLOCK else 0
    if spare:
        weight, bias = F.pad(weight, (0, 0, 0, spare)), None if bias is None else F.pad(bias, (0, spare))
    more = -rows % BLOCK if several else max(0, BLOCK - rows)
    given = x
    if more:
        given = x.reshape(rows, size)
        # A single row is expanded rather than copied.
        given = given.expand(BLOCK, -1) if rows == 1 else F.pad(given, (0, 0, 0, more))
    y = F.linear(given, weight, bias) if size <= DEEP else _in_parts(given, weight, bias)
    if more:
        y = y[:rows].view(*x.shape[:-1], y.shape[-1])
    return y[..., :out].contiguous() if spare else y


def _in_parts(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear`, as the sum in float32 of the products of equal parts of the inputs."""
    count = -(-int(x.shape[-1]) // DEEP)
    parts = list(zip(x.tensor_split(count, -1), weight.tensor_split(count, -1), strict=True))
    y = F.linear(*parts[0], bias).float()
    for part in parts[1:]:
        y = y + F.linear(*part)
    return as_dtype(y, x.dtype)


def as_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x.to(dtype)`, without a recorded operation if `x` has that dtype."""
    return x if x.dtype == dtype else x.to(dtype)


class Linear(nn.Linear):
    """`nn.Linear` by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., size) to (..., out)."""
        return linear(input, self.weight, self.bias)


class Norm(nn.LayerNorm):
    """Layer normalisation without offset, in the dtype of its input.

    It takes the place of DreamerV3's RMSNorm, and unlike that one is a single operation on a CPU, if the weight has the
    dtype of the input.
    """

    def __init__(self, size: int):
        super().__init__(size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) to the same shape and dtype."""
        return F.layer_norm(x, self.normalized_shape, as_dtype(self.weight, x.dtype), None, self.eps)


class MLP(nn.Sequential):
    """Linear, Norm (unless `norm` is False) and SiLU for each width in `hidden`, then a linear layer to `out`."""

    def __init__(self, size: int, hidden: tuple[int, ...], out: int, norm: bool = True):
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [Linear(size, width, bias=not norm), *([Norm(width)] if norm else []), nn.SiLU()]
            size = width
        layers.append(Linear(size, out))
        super().__init__(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(..., size) to (..., out), computed in the dtype of the weights."""
        return super().forward(as_dtype(x, cast(nn.Linear, self[0]).weight.dtype))

    @property
    def output(self) -> nn.Linear:
        """The last layer."""
        return cast(nn.Linear, self[-1])


class GRUCell(nn.Module):
    """Gated recurrent unit with a normalised joint projection and update bias -1, as DreamerV3 (arXiv 2301.04104)."""

    def __init__(self, size: int, hidden: int):
        super().__init__()
        self.project = Linear(size + hidden, 3 * hidden, bias=False)
        self.norm = Norm(3 * hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Input (B, size) and state (B, hidden) float32 to the next state (B, hidden) float32."""
        joined = as_dtype(torch.cat([x, h], -1), self.project.weight.dtype)
        reset, candidate, update = self.norm(as_dtype(self.project(joined), torch.float32)).chunk(3, -1)
        # tanh(x) = 2 sigmoid(2 x) - 1, which a CPU computes five times as fast.
        candidate = 2 * torch.sigmoid(2 * torch.sigmoid(reset) * candidate) - 1
        return torch.lerp(h, candidate, torch.sigmoid(update - 1))


class PatchMixer(nn.Module):
    """Mixes tokens, then channels, each by a two-layer perceptron with a residual (MLP-Mixer, arXiv 2105.01601)."""

    def __init__(self, tokens: int, channels: int, expand: int = 2):
        super().__init__()
        self.norm_tokens, self.norm_channels = Norm(channels), Norm(channels)
        self.mix_in, self.mix_out = (nn.Parameter(torch.randn(tokens, tokens) / tokens**0.5) for _ in range(2))
        self.channels = nn.Sequential(
            Linear(channels, expand * channels), nn.SiLU(), Linear(expand * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, tokens, channels) to the same shape."""
        # From the left, so that tokens need not be moved to the last dimension and back.
        x = x + self.mix_out @ F.silu(self.mix_in @ self.norm_tokens(x))
        return x + self.channels(self.norm_channels(x))


def patches(image: Tensor, size: int) -> Tensor:
    """(B, H, W) cut into squares: (B, H/size * W/size, size * size), row by row."""
    return unshuffled(image[..., None], size).flatten(1, 2)


def unpatch(tokens: Tensor, height: int, width: int, size: int) -> Tensor:
    """Inverse of `patches` for (B, tokens, size * size * C): (B, H, W, C)."""
    return shuffled(tokens.unflatten(1, (height // size, width // size)), size)


def unshuffled(x: Tensor, size: int) -> Tensor:
    """(B, H, W, C) with squares of `size` pixels as one: (B, H / size, W / size, size * size * C)."""
    b, height, width, _ = x.shape
    x = x.reshape(b, height // size, size, width // size, size, -1).transpose(2, 3)
    return x.reshape(b, height // size, width // size, -1)


def shuffled(x: Tensor, size: int) -> Tensor:
    """Inverse of `unshuffled`."""
    b, height, width, _ = x.shape
    x = x.reshape(b, height, width, size, size, -1).transpose(2, 3)
    return x.reshape(b, height * size, width * size, -1)


def one_hot(ids: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """(...,) integer ids as (..., classes) of `dtype`."""
    return F.embedding(ids if ids.dtype is torch.int64 else ids.int(), _eye(classes, dtype, ids.device))


@functools.cache
def _eye(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Made outside of inference mode, so that training may use it as well.
    with torch.inference_mode(False):
        return torch.eye(size, dtype=dtype, device=device)


@functools.cache
def _below(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.ones(size, size, dtype=dtype, device=device).tril()


def logistic(x: Tensor) -> Tensor:
    """The sigmoid of narrow tensors (B, less than 32), each number the same to the bit wherever it stands.

    `torch.sigmoid`, and with it `silu`, computes 32 numbers at a time on a CPU and rounds the remainder differently;
    rows of a multiple of 32 have none.
    """
    return (1 + (-x).exp()).reciprocal()


def drawn(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Classes (...) int64 drawn from probabilities (..., classes), inverting their distribution at uniforms (...)."""
    # A product with a triangle of ones: a CPU's own running sum takes ten times as long.
    # The size as an integer: while tracing it is a tensor, which is never found in the cache.
    below = _below(int(probabilities.shape[-1]), probabilities.dtype, probabilities.device)
    return _inverted(linear(probabilities, below), uniforms[..., None])[..., 0]


def drawn_several(probabilities: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """As `drawn`, of each distribution (..., classes) as many as there are uniforms (..., N); and as many uniform
    numbers in [0, 1] that are independent of what was drawn, to draw something else with.

    For few distributions, however few.
    """
    running = probabilities.cumsum(-1)
    index = _inverted(running, uniforms)
    share, end = (values.gather(-1, index) for values in (probabilities, running))
    return index, ((uniforms - end) / share + 1).clamp(0, 1)


def _inverted(running: Tensor, uniforms: Tensor) -> Tensor:
    index = torch.searchsorted(running, uniforms.contiguous())
    # Rounding may leave the sum of all a little below 1.
    return index.clamp_max(running.shape[-1] - 1)


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Probabilities (..., classes), sharpened by a `temperature` below 1."""
    return probabilities if temperature == 1 else (probabilities.log() / temperature).softmax(-1)


def two_hot(x: Tensor, bins: Tensor) -> Tensor:
    """Values (...,) as weights (..., K) on their two nearest of the sorted `bins` (K,), as DreamerV3 does rewards."""
    x = x.clamp(bins[0], bins[-1])
    above = torch.searchsorted(bins, x.contiguous()).clamp(1, len(bins) - 1)
    low, high = bins[above - 1], bins[above]
    weight = ((x - low) / (high - low))[..., None]
    return F.one_hot(above - 1, len(bins)) * (1 - weight) + F.one_hot(above, len(bins)) * weight
