"""`gbmresponse-train doctor`: is this machine, or are these machines, fit for a training."""

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import discard, ensure_output_folder
from GBMResponseCore.model.environment import describe_environment

if TYPE_CHECKING:
    from ..settings.configuration import Configuration

_BLOCK, _BLOCKS = 1 << 22, 32
_GIBI = 1 << 30
_NUMBERS = 1 << 20
_PACKAGES = ("torch", "diffusers", "lightning", "numpy", "SimpleITK", "safetensors")
_PATIENCE = timedelta(seconds=120)
_SLOW_MB_S = 50.0


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        help="check devices, the talk between processes, the disk and memory before a training",
        description="Exit code 0 if all is well. Under torchrun or srun it checks the processes started by those.",
    )
    parser.add_argument("--preset", help="also tell what memory a training step of it needs, and whether it is there")
    parser.add_argument("--size", type=int, default=256, help="side of the slices (default: 256)")
    parser.add_argument("--folder", type=Path, default=Path(), help="where runs and stores will lie (default: here)")
    parser.add_argument("--processes", type=int, default=2, help="that try to talk to each other (default: 2)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..settings.reader import load_configuration

    settings = load_configuration(arguments.preset) if arguments.preset else None
    folder = ensure_output_folder(arguments.folder)
    started = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    talk = _talk_of_started() if started else _talk_of_own(arguments.processes)
    if started and os.environ["RANK"] != "0":
        return 0
    problems: list[str] = [] if talk.startswith("ok") else [f"Processes cannot talk: {talk}."]
    report = describe_environment(_PACKAGES)
    for device in report["devices"]:
        print(f"device    {device['name']}: {device['description']}")
    print(f"talk      {talk}")
    problems += report["problems"]
    written, read = _disk_speed(folder)
    print(f"disk      writes {written:.0f} MB/s, reads {read:.0f} MB/s in {folder.resolve()}")
    if min(written, read) < _SLOW_MB_S:
        problems.append(f"The disk is slow: less than {_SLOW_MB_S:.0f} MB/s. Put stores and runs on a local one.")
    if settings:
        problems += _memory(arguments.preset, settings, arguments.size)
    print("\n".join(f"PROBLEM   {problem}" for problem in problems) or "No problems.")
    return 1 if problems else 0


def _talk_of_started() -> str:
    """All processes that torchrun or srun has started sum a tensor."""
    import torch.distributed as dist

    backend = _backend(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
        return _sum(backend)
    except (RuntimeError, ValueError) as error:
        return _words(backend, error)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _talk_of_own(count: int) -> str:
    """Processes of our own sum a tensor."""
    import torch
    import torch.multiprocessing as processes

    backend = _backend(count)
    context = processes.get_context("spawn")
    answers: Any = context.SimpleQueue()
    # A port of the system's choice, which is then known to all.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, timeout=_PATIENCE, wait_for_workers=False)
    try:
        processes.spawn(_join, (count, backend, store.port, answers), nprocs=count)
    except (RuntimeError, ValueError, OSError) as error:
        return _words(backend, error)
    return answers.get()


def _join(rank: int, count: int, backend: str, port: int, answers: Any) -> None:
    import torch
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=_PATIENCE)
    if backend == "nccl":
        torch.cuda.set_device(rank)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    words = _sum(backend)
    dist.destroy_process_group()
    if rank == 0:
        answers.put(words)


def _backend(count: int) -> str:
    """What a training of so many processes on this machine would use."""
    import torch

    cards = torch.cuda.device_count()
    return "nccl" if cards >= max(count, 1) and torch.distributed.is_nccl_available() else "gloo"


def _sum(backend: str) -> str:
    import torch
    import torch.distributed as dist

    rank, count = dist.get_rank(), dist.get_world_size()
    local = int(os.environ.get("LOCAL_RANK", rank))
    numbers = torch.full((_NUMBERS,), float(rank), device=f"cuda:{local}" if backend == "nccl" else "cpu")
    began = time.perf_counter()
    dist.all_reduce(numbers)
    expected = count * (count - 1) / 2
    if numbers[0].item() != expected or numbers[-1].item() != expected:
        return f"{backend} sums wrongly"
    return (
        f"ok: {count} processes by {backend}, {_NUMBERS * 4 / 1e6:.0f} MB summed in {time.perf_counter() - began:.2f} s"
    )


def _words(backend: str, error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{backend} failed ({lines[-1].strip() if lines else type(error).__name__})"


def _disk_speed(folder: Path) -> tuple[float, float]:
    """MB/s of writing to the disk itself and of reading, as far as the system lets its memory be passed by.

    :raises GBMResponseError: the disk is full or fails.
    """
    file, block = folder / f".doctor-{os.getpid()}", os.urandom(_BLOCK)
    try:
        began = time.perf_counter()
        with open(file, "wb", buffering=0) as stream:
            for _ in range(_BLOCKS):
                stream.write(block)
            os.fsync(stream.fileno())
            written = time.perf_counter() - began
            if sys.platform == "linux":
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.perf_counter()
        with open(file, "rb", buffering=0) as stream:
            while stream.read(_BLOCK):
                pass
        read = time.perf_counter() - began
    except OSError as error:
        raise GBMResponseError(
            f"The disk of {folder} fails ({error.strerror}).", "Free space, or name another."
        ) from error
    finally:
        discard(file)
    size = _BLOCK * _BLOCKS / 1e6
    return size / max(written, 1e-9), size / max(read, 1e-9)


def _memory(preset: str, settings: "Configuration", size: int) -> list[str]:
    """Say what the steps of a preset need; returns what is too much for this machine."""
    import torch

    from ..settings.model_configurations import CLASS_NAMES
    from ..stages.step_cost import autoencoder_step, count_step, diffusion_step

    steps = {
        name.replace("_", " "): autoencoder_step(settings, name, size)
        for name in ("image_autoencoder", "gtv_autoencoder")
    }
    steps["diffusion"] = diffusion_step(settings, len(CLASS_NAMES["2-class"]) + 1, size)
    there = _memory_here(torch)
    problems = []
    for name, step in steps.items():
        cost = count_step(*step)
        print(
            f"memory    {preset}, {name}: {cost.held / _GIBI:.1f} GiB held, {cost.kept / _GIBI:.1f} GiB a step in "
            f"32 bit, about half in bf16; here {there / _GIBI:.1f} GiB"
        )
        if cost.held + cost.kept / 2 > there:
            problems.append(f"The {name} of {preset} does not fit the memory. Lower its batch_size, raise accumulate.")
    return problems


def _memory_here(torch: Any) -> int:
    """Bytes of the smallest graphics card, or of this computer."""
    count = torch.cuda.device_count()
    if count:
        return min(torch.cuda.get_device_properties(number).total_memory for number in range(count))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 1 << 62  # Windows does not tell without further packages
