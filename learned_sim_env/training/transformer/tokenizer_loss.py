"""What the tokenizer is trained for: masked autoencoding, every part of the loss divided by its root mean square.

As in Dreamer 4 (arXiv 2509.24527, section 3.1): of an observation a share p of U(0, 0.9) of the patches is hidden, and
the whole is to be seen in the tokens; unlike there, in some of the moments only, whose errors are divided by their own
root mean square and count for less: they are ten times as large, and would drown what is to be learned of observations
that are there in full, as they are in use. For pictures the errors of differences
between neighbours are added, which are large where edges blur, in place of a perceptual loss whose weights one would
have to download.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import NUM_CLASSES, SemanticClass
from learned_sim_env.training.reductions import masked_mean
from learned_sim_env.world_model.transformer.codecs import symlog
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer

MOST_HIDDEN = 0.9
# Standard deviation of noise on tokens before they are decoded: a token that differs that much from the true one, as a
# dreamt one may, shows about the same.
NOISE = 0.05
# Share of the moments in which something is hidden, and the weight of their errors. With all of them, or with one root
# mean square for all errors, pictures are sharp much later.
MASKED, MASKED_WEIGHT = 0.2, 0.1
# Of edges, beside the pictures themselves.
EDGES = 0.2
# Of a vector, which is soon so exact that the gradient of its relative error would outweigh those of pictures tenfold.
VECTOR = 0.1
# Rare and thin classes, which a loss per pixel would neglect for long.
CLASS_WEIGHTS = {
    SemanticClass.BROKEN_LINE: 2.0,
    SemanticClass.SOLID_LINE: 2.0,
    SemanticClass.STATIC_OBJECT: 6.0,
    SemanticClass.VEHICLE: 6.0,
    SemanticClass.PEDESTRIAN: 6.0,
}


def hidden_patches(
    tokenizer: Tokenizer, shape: tuple[int, int], device: torch.device, alone: float = 0.0
) -> dict[str, Tensor]:
    """By modality (*shape, patches) bool: which patches are hidden, in a share `MASKED` of the moments, of each
    observation another share; and in a share `alone` of the moments all of every modality but one.
    """
    hidden = {}
    masked = torch.rand(*shape, 1, device=device) < MASKED
    for name in tokenizer.names:
        share = MOST_HIDDEN * torch.rand(*shape, 1, device=device) * masked
        hidden[name] = torch.rand(*shape, tokenizer.codec(name).patches, device=device) < share
    if alone:
        lonely = torch.rand(shape, device=device) < alone
        shown = torch.randint(len(tokenizer.names), shape, device=device)
        for i, name in enumerate(tokenizer.names):
            hidden[name] |= (lonely & (shown != i))[..., None]
    return hidden


def unseen_patches(tokenizer: Tokenizer, seen: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """By modality (B, T, patches) bool, all patches where it is not `seen` (B, T) bool; None where all are."""
    if all(bool(mask.all()) for mask in seen.values()):
        return None
    return {name: ~seen[name][..., None].expand(-1, -1, tokenizer.codec(name).patches) for name in tokenizer.names}


def token_weights(tokenizer: Tokenizer, seen: Mapping[str, Tensor]) -> Tensor:
    """(B, T, count): 1 for tokens of modalities that are `seen` (B, T) bool, and 0 for others, which are guesses."""
    parts = [seen[name][..., None].expand(-1, -1, tokenizer.codec(name).cells) for name in tokenizer.names]
    return torch.cat(parts, -1).float()


def tokenizer_loss(
    tokenizer: Tokenizer,
    observations: Mapping[str, Tensor],
    valid: Tensor,
    seen: Mapping[str, Tensor] = {},
    alone: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and its parts by modality before they are divided.

    observations: by modality (B, T, *shape). valid: (B, T) bool, frames that count. seen: by modality (B, T) bool, of
    what is not the tokenizer is shown nothing and learns nothing; one that is not named is seen. alone: see
    `hidden_patches`.
    """
    hidden = hidden_patches(tokenizer, (len(valid), valid.shape[1]), valid.device, alone)
    whole = ~torch.stack([mask.any(-1) for mask in hidden.values()]).any(0).flatten()
    for name, mask in seen.items():
        hidden[name] |= ~mask[..., None]
    tokens = tokenizer.encode(observations, hidden).flatten(0, 1)
    if tokenizer.training:
        tokens = tokens + NOISE * torch.randn_like(tokens)
    decoded = tokenizer.decode(tokens, tokenizer.names)
    total, parts = torch.zeros((), device=valid.device), {}
    for name in tokenizer.names:
        counts = (valid & seen[name] if name in seen else valid).flatten()
        errors = reconstruction(tokenizer, name, decoded[name], observations[name].flatten(0, 1))
        for part, (weight, error) in errors.items():
            shown, masked = counts & whole, counts & ~whole
            total = total + weight * (normalised(error, shown) + MASKED_WEIGHT * normalised(error, masked))
            parts[part] = masked_mean(error.detach(), shown)
    return total, parts


def reconstruction(tokenizer: Tokenizer, name: str, decoded: Tensor, truth: Tensor) -> dict[str, tuple[float, Tensor]]:
    """Parts of a modality's loss: weights, and errors (B,) of what was `decoded`, see `codecs.PictureCodec.decoded`."""
    codec = tokenizer.codec(name)
    if codec.kind == "classes":
        weights = decoded.new_tensor([CLASS_WEIGHTS.get(SemanticClass(i), 1.0) for i in range(NUM_CLASSES)])
        error = F.cross_entropy(decoded.permute(0, 3, 1, 2), truth.long(), weights, reduction="none")
        return {name: (1.0, error.flatten(1).mean(1))}
    if codec.kind == "vector":
        return {name: (VECTOR, (decoded - symlog(truth.float())).flatten(1).square().mean(1))}
    error = decoded - (truth.float() / 127.5 - 1)
    edges = [error.diff(dim=axis).square().flatten(1).mean(1) for axis in (1, 2)]
    return {name: (1.0, error.square().flatten(1).mean(1)), f"{name}_edges": (EDGES, edges[0] + edges[1])}


def normalised(errors: Tensor, counts: Tensor) -> Tensor:
    """The mean of errors (B,) that count (B,) bool, over their root mean square in the batch.

    Of this batch rather than of those before: nothing has to be kept to resume a run, and a batch holds many frames.
    """
    rms = masked_mean(errors.detach().square(), counts).sqrt()
    return masked_mean(errors, counts) / rms.clamp_min(1e-8)
