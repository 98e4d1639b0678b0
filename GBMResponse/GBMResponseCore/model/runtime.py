"""Where and how to compute: device, arithmetic precision, and how many slices fit at once."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from ..errors import DeviceError, OptionError
from ..request import PRECISIONS

BFLOAT16_TOLERANCE = 0.03
"""Largest relative L2 error of one bfloat16 network evaluation that `auto` accepts."""

BFLOAT16_GAIN = 1.2
"""`auto` takes bfloat16 if it is so many times as fast as float32: a near thing would be decided by chance."""

WORTH_SECONDS = 0.02
"""Evaluations that take less in float32 are left in it: nothing is gained, and so short a time measures chance."""

_TIMINGS = 3
_MOST_SLICES = {"cpu": 8, "cuda": 40}


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device called `name` (`auto`, `cpu`, `cuda`, `cuda:1`, `mps`).

    :raises DeviceError: it does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # some devices, as `meta`, take everything and compute nothing
    except (RuntimeError, AssertionError, ValueError, OverflowError) as error:
        raise DeviceError(f"The device {name[:80]!r} is not available.") from error
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether `device` computes bfloat16 in hardware; CPUs without it are many times slower in it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # torch has no public query; without these functions the answer is the safe one.
    queries = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, query, lambda: False)() for query in queries)


def choose_precision(name: str, device: torch.device, probe: Callable[[], torch.Tensor]) -> torch.dtype:
    """Return float32 or bfloat16.

    :param probe: evaluates the network on a real input; it is run in both precisions, and `auto` takes bfloat16 only
        where the hardware has it, the relative error stays within `BFLOAT16_TOLERANCE`, and it is `BFLOAT16_GAIN` times
        as fast: not every processor that computes bfloat16 gains from it.
    """
    if name not in PRECISIONS:
        raise OptionError(f"Unknown precision {name!r}.", f"Choose one of: {', '.join(PRECISIONS)}.")
    if name != "auto":
        return torch.float32 if name == "float32" else torch.bfloat16
    if not has_fast_bfloat16(device):
        return torch.float32

    def evaluate(precision: torch.dtype) -> tuple[float, torch.Tensor]:
        rounding = torch.autocast(device.type, torch.bfloat16) if precision is torch.bfloat16 else nullcontext()
        start = time.perf_counter()
        with rounding:
            output = probe().float().cpu()  # waits for the graphics card
        return time.perf_counter() - start, output

    (_, exact), (_, rounded) = evaluate(torch.float32), evaluate(torch.bfloat16)
    if float((rounded - exact).norm() / exact.norm()) > BFLOAT16_TOLERANCE:
        return torch.float32
    # In turn, so that what else the machine does meanwhile meets both; the first of each may have been a start.
    rounds = [(evaluate(torch.float32)[0], evaluate(torch.bfloat16)[0]) for _ in range(_TIMINGS)]
    slow, fast = (min(seconds) for seconds in zip(*rounds, strict=True))
    return torch.bfloat16 if slow >= max(WORTH_SECONDS, BFLOAT16_GAIN * fast) else torch.float32


def batch_size(requested: int | None, device: torch.device, slice_pixels: int, widest_channels: int) -> int:
    """Return how many slices to process at once.

    :param requested: the user's wish; None lets free memory decide.
    :param widest_channels: channels of the autoencoder at full resolution, which set the peak.
    """
    if requested is not None:
        if requested < 1:
            raise OptionError(f"The batch size is {requested}.", "Use 1 or more.")
        return requested
    bytes_per_slice = 64 * slice_pixels * widest_channels
    most = _MOST_SLICES.get(device.type, _MOST_SLICES["cpu"])
    return max(1, min(most, int(0.5 * _free_memory(device)) // bytes_per_slice))


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2 * 1024**3  # Windows and macOS do not say; two gigabytes are free on any machine that runs Slicer
