"""Which packages and devices are here, asked in a process of its own: a broken package may crash the one that loads it.

`python -m GBMResponseCore.model.environment` loads them and prints one line of JSON about each, then the devices. Also
how this process is ended, and what it leaves for developers when it fails.
"""

import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import DependencyError, GBMResponseError, OutOfMemoryError
from ..files import write_text
from .loading import loading, of_diffusers

PACKAGES = (
    "torch", "diffusers", "safetensors", "jsonschema", "jinja2", "tqdm", "Pillow", "numpy", "scipy", "SimpleITK",
)  # fmt: skip
_MODULES = {"Pillow": "PIL"}
"""Modules of packages that are named otherwise."""
_LOADED_LAZILY = {"PIL.Image": "open"}
"""Modules that may load although their parts do not -> a part that is needed; so does diffusers."""
_INSTALL_TORCH = "Install PyTorch with the PyTorch extension (module PyTorch Utils), or with pip."
_INSTALL_OTHERS = "Install the packages of Resources/requirements.txt."
_REINSTALL = "Uninstall it and install it again; on Windows, also install the Visual C++ redistributable."
_TIMEOUT_S = 180
_NO_MEMORY = (
    "out of memory", "allocate memory", "bad_alloc", "could not create a memory", "could not create a primitive",
)  # fmt: skip
"""Of torch's allocators, of C++ and, the last two, of oneDNN."""
_CLEANING_UP_S = 5.0


@contextmanager
def translate_import_errors() -> Iterator[None]:
    """Turn a failing import into a sentence.

    :raises DependencyError: a package is missing or does not load.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "?").split(".")[0]
        name = next((package for package, other in _MODULES.items() if other == module), module)
        raise DependencyError(f"The Python package {name} is not installed.", _remedy(name)) from error
    except RuntimeError as error:  # diffusers wraps the errors of its parts
        if not isinstance(error.__cause__, (ImportError, OSError)):
            raise
        message = f"A Python package is installed but does not load ({error.__cause__})."
        raise DependencyError(message, _REINSTALL) from error
    except (ImportError, OSError) as error:
        if getattr(error, "filename", None) is not None:
            raise  # about a file, not about a library
        message = f"A Python package is installed but does not load ({error})."
        raise DependencyError(message, _REINSTALL) from error


@contextmanager
def translate_memory_errors() -> Iterator[None]:
    """:raises OutOfMemoryError: the processor or the graphics card has too little memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            raise OutOfMemoryError("There is not enough memory for this prediction.") from error
        raise


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory; libraries have many words for it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def describe_environment(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return versions, what is wrong with each package, and the devices; never crashes.

    :returns: `ok`, `version`, `python`, `platform`, `packages` (name -> `version`, None if missing, and `problem`, None
        if it loads), `devices` (each `name`, `description`, `problem`), `problems` (sentences with remedies).
    """
    report: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {},
        "devices": [],
    }
    try:
        probe = subprocess.run(
            [sys.executable, "-m", "GBMResponseCore.model.environment", *packages],
            env=os.environ | {"PYTHONPATH": search_path()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        lines = [json.loads(line) for line in probe.stdout.splitlines() if line.startswith(b"{")]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return report | {"ok": False, "problems": [f"The Python packages could not be examined ({error})."]}
    for line in lines:
        if "devices" in line:
            report["devices"] = line["devices"]
        else:
            report["packages"][line["name"]] = {"version": line["version"], "problem": line["problem"]}
    for name in packages:  # the probe stops where a package crashes it
        if name not in report["packages"]:
            problem = f"loading it ends the Python process (exit code {probe.returncode})"
            report["packages"][name] = {"version": installed_version(name), "problem": problem}
            break
    problems = [_sentence(name, **entry) for name, entry in report["packages"].items() if entry["problem"]]
    problems += [f"The device {d['name']} does not work: {d['problem']}." for d in report["devices"] if d["problem"]]
    return report | {"ok": not problems, "problems": problems}


def write_diagnostics(error: BaseException, folder: Path | None = None) -> Path | None:
    """Write what a developer needs to know about an unexpected error.

    Messages of errors and paths outside this package are left out, as they may name a patient.

    :param folder: where to; the system's folder for temporary files if it is None or cannot be written to.
    :returns: the file, or None if there is no place for one.
    """
    lines = [f"gbmresponse {__version__}, Python {platform.python_version()}, {platform.platform()}"]
    lines += [f"{name} {installed_version(name)}" for name in PACKAGES]
    seen: BaseException | None = error
    while seen is not None and len(lines) < 1000:
        lines += ["", f"{type(seen).__module__}.{type(seen).__qualname__}"]
        lines += [f"  {_module(frame.filename)}:{frame.lineno} in {frame.name}"
                  for frame in traceback.extract_tb(seen.__traceback__)[-60:]]  # fmt: skip
        seen = seen.__cause__ or seen.__context__
    name = f"gbmresponse-diagnostics-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    places: tuple[Callable[[], Path | None], ...] = (lambda: folder, lambda: Path(tempfile.gettempdir()))
    for place in places:
        try:
            target = place()
            if target is not None:
                return write_text("\n".join(lines) + "\n", target / name)
        except (GBMResponseError, OSError, ValueError, MemoryError):
            pass
    return None


def _module(file: str) -> str:
    """The part of a source file's path that says which module it is."""
    parts = Path(file).parts
    roots = [k for k, part in enumerate(parts) if part in ("site-packages", "dist-packages")]
    roots += [k - 1 for k, part in enumerate(parts) if part == "GBMResponseCore"]
    return "/".join(parts[roots[-1] + 1 :]) if roots else parts[-1]


@contextmanager
def interrupted_when_terminated(ends: bool = False) -> Iterator[None]:
    """Let a request to end the process, or a closed terminal, stop it as Ctrl+C does: with KeyboardInterrupt.

    What follows within seconds is taken for the same wish, so that it does not disturb the cleaning up.

    :param ends: the process ends after it, which nothing disturbs any more.
    """
    first: float | None = None

    def stop(number: int, frame: Any) -> None:
        nonlocal first
        now = time.monotonic()
        if first is None or now - first > _CLEANING_UP_S:
            first = now
            raise KeyboardInterrupt

    before = _let_stop(stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep requests to end the process back until this is done, or drop them: :func:`ignore_interrupts`."""
    came = []

    def hold(number: int, frame: Any) -> None:
        came.append(number)

    before = _let_stop(hold)
    try:
        yield
    finally:
        held = [number for number in before if signal.getsignal(number) is hold]
        for number in held:
            signal.signal(number, before[number])
        if held and came:
            signal.raise_signal(came[0])


def ignore_interrupts() -> None:
    """From now on it is too late to end the process: it has done what it was asked for."""
    _let_stop(signal.SIG_IGN)


def _let_stop(handler: Any) -> dict[int, Any]:
    """Give the signals that ask a process to end a handler; returns those they had. Only the main thread can."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            # None: not from Python; ignored: as nohup asks.
            if number is not None and signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, handler)
    return before


def _sentence(name: str, version: str | None, problem: str) -> str:
    if version is None:
        return f"The Python package {name} is not installed. {_remedy(name)}"
    return f"The Python package {name} {version} is installed but does not work: {problem}. {_REINSTALL}"


def _remedy(name: str) -> str:
    return _INSTALL_TORCH if name == "torch" else _INSTALL_OTHERS


def search_path() -> str:
    """Value of PYTHONPATH with which a child process finds this package, installed or not."""
    core = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(path for path in (core, os.environ.get("PYTHONPATH", "")) if path)


def installed_version(name: str) -> str | None:
    """Version of a package by its metadata, without loading it; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _probe(packages: Sequence[str]) -> None:
    """Load each package and print one line about it."""
    for name in packages:
        entry: dict[str, Any] = {"name": name, "version": None, "problem": None}
        module_name = _MODULES.get(name, name)
        try:
            with loading():
                module = importlib.import_module(module_name)
            for part, needed in _LOADED_LAZILY.items():
                if part.split(".")[0] == module_name:
                    getattr(importlib.import_module(part), needed)
            if name == "diffusers":
                of_diffusers("UNet2DConditionModel")
            entry["version"] = installed_version(name) or getattr(module, "__version__", "?")
        except ModuleNotFoundError as error:
            missing = error.name or module_name
            is_itself = missing == module_name
            entry["problem"] = "not installed" if is_itself else f"it needs {missing}, which is not installed"
            entry["version"] = None if is_itself else installed_version(name) or "?"
        # A damaged package may raise anything at all while it loads; the next one is examined all the same.
        except Exception as error:
            entry["problem"] = f"{type(error).__name__}: {error}".rstrip(".")
            entry["version"] = installed_version(name) or "?"
        print(json.dumps(entry), flush=True)
    torch = sys.modules.get("torch")
    if torch is not None:
        print(json.dumps({"devices": _devices(torch)}), flush=True)


def _devices(torch: Any) -> list[dict[str, Any]]:
    """The devices torch sees; each computes something, as a driver may be too old or a card too new for this torch."""
    found = []
    if torch.cuda.is_available():
        found += [(f"cuda:{k}", torch.cuda.get_device_name(k)) for k in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(("mps", "Apple GPU"))
    found.append(("cpu", f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"))
    devices = []
    for name, description in found:
        problem = None
        try:
            torch.ones(2, device=name).sum().item()
        except RuntimeError as error:
            problem = str(error).splitlines()[0].rstrip(".")
        devices.append({"name": name, "description": description, "problem": problem})
    return devices


if __name__ == "__main__":
    _probe(sys.argv[1:] or PACKAGES)
