"""Device, precision and batch size."""

import pytest
import torch
from GBMResponseCore.errors import DeviceError, OptionError
from GBMResponseCore.model import runtime

CPU = torch.device("cpu")


def test_an_absent_device_is_refused():
    with pytest.raises(DeviceError, match="cuda:99"):
        runtime.choose_device("cuda:99")


def test_an_unknown_precision_is_refused():
    with pytest.raises(OptionError):
        runtime.choose_precision("float8", CPU, lambda: torch.ones(1))


def test_auto_takes_float32_where_bfloat16_is_slow(monkeypatch):
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device: False)
    assert runtime.choose_precision("auto", CPU, lambda: pytest.fail("probed")) == torch.float32


class Clock:
    """A clock that a probe moves on by as many seconds as its precision takes."""

    def __init__(self, float32: float, bfloat16: float) -> None:
        self.now, self.costs = 0.0, {torch.float32: float32, torch.bfloat16: bfloat16}

    def perf_counter(self) -> float:
        return self.now

    def probe(self) -> torch.Tensor:
        output = torch.eye(8) @ torch.eye(8)
        self.now += self.costs[output.dtype]
        return output


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ((2.0, 1.0), torch.bfloat16),
        ((1.1, 1.0), torch.float32),
        ((1.0, 1.5), torch.float32),
        ((0.01, 0.001), torch.float32),
    ],
)
def test_auto_takes_bfloat16_where_it_is_accurate_and_clearly_faster(monkeypatch, seconds, chosen):
    clock = Clock(*seconds)
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(runtime, "time", clock)
    assert runtime.choose_precision("auto", CPU, clock.probe) == chosen


def test_auto_takes_float32_where_bfloat16_is_inaccurate(monkeypatch):
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device: True)
    # Differences of nearly equal products lose most of their digits in bfloat16.
    left, right = torch.full((8, 8), 1.001), torch.full((8, 8), 1.0)
    assert runtime.choose_precision("auto", CPU, lambda: left @ right - 8.0) == torch.float32


def test_little_memory_means_small_batches(monkeypatch):
    monkeypatch.setattr(runtime, "_free_memory", lambda device: 300 * 1024**2)
    assert runtime.batch_size(None, CPU, 256 * 256, 16) == 2


def test_at_least_one_slice_is_processed(monkeypatch):
    monkeypatch.setattr(runtime, "_free_memory", lambda device: 0)
    assert runtime.batch_size(None, CPU, 256 * 256, 128) == 1


def test_the_users_batch_size_wins():
    assert runtime.batch_size(3, CPU, 256 * 256, 16) == 3


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(OptionError):
        runtime.batch_size(0, CPU, 256 * 256, 16)
