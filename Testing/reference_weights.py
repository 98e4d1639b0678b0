"""Weights and inputs by formula: the same numbers with any version of torch, for outputs that are kept as reference."""

import torch
from torch import nn


def wave(shape: tuple[int, ...], step: float) -> torch.Tensor:
    """Values in [-1, 1] that no symmetry of a network leaves alone."""
    return torch.sin(step * torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).float().view(shape)


@torch.no_grad()
def fill(model: nn.Module) -> nn.Module:
    """Fill a network in the order of its state; running variances and weights of normalizations lie around 1."""
    for number, (name, values) in enumerate(model.state_dict().items()):
        if values.is_floating_point():
            around_one = name.endswith("running_var") or (values.ndim == 1 and name.endswith("weight"))
            values.copy_(0.2 * wave(tuple(values.shape), 0.7 + 0.01 * number) + float(around_one))
    return model.eval()
