"""Networks computed in the dtype of their inputs, for learning: products in bfloat16 take a quarter of the time.

On a CPU with avx512_bf16, that is. Weights stay float32, as do their gradients, and what comes out of a network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.layers import MLP, as_dtype

DTYPES = ("bfloat16", "float32")
# A last layer with no more outputs than this costs nothing, and is computed in float32: what an actor decides is finer
# than 8 bits.
NARROW = 64


def computed(layers: MLP, inputs: Tensor) -> Tensor:
    """Outputs (N, out) float32 of inputs (N, size), with products in the dtype of the inputs."""
    if inputs.dtype == torch.float32:
        return layers(inputs)
    x = inputs
    for layer in list(layers)[:-1]:
        if isinstance(layer, nn.Linear):
            x = F.linear(x, layer.weight.to(x.dtype), None if layer.bias is None else layer.bias.to(x.dtype))
        else:
            x = layer(x)
    output = layers.output
    exact = output.out_features <= NARROW
    dtype = torch.float32 if exact else x.dtype
    # The bias apart: of a critic, it is larger than what is added to it.
    return as_dtype(F.linear(as_dtype(x, dtype), as_dtype(output.weight, dtype)), torch.float32) + output.bias
