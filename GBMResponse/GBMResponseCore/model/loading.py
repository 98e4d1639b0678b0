"""How packages that take seconds to load are loaded: without what nothing here uses, without a search for garbage."""

import functools
import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while packages load: there is none, and to look takes time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@functools.cache
def of_diffusers(name: str) -> Any:
    """A class of diffusers, without what it loads and nothing here uses.

    That takes longer than to load torch. Its parts ask for the compiler of torch and are told that there is none; what
    its other schedulers count with is loaded when they do; no list of all installed packages is made. A version that
    insists gets everything.
    """
    try:
        with _no_compiler(), _late("scipy.stats", "scipy.integrate"), _no_list_of_packages(), loading():
            return getattr(importlib.import_module("diffusers"), name)
    except (ImportError, RuntimeError, AttributeError):
        return getattr(importlib.import_module("diffusers"), name)


@contextmanager
def _no_compiler() -> Iterator[None]:
    """Imports of the compiler fail, which diffusers expects of old versions; what is exempt from it stays as it is."""
    if "torch._dynamo" in sys.modules:
        yield
        return
    torch = importlib.import_module("torch")
    exempt = torch.compiler.disable
    torch.compiler.disable = lambda function=None, *_, **__: (lambda inner: inner) if function is None else function
    sys.modules["torch._dynamo"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compiler.disable = exempt
        del sys.modules["torch._dynamo"]


class _Late(ModuleType):
    """Stands for a module until one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # who walks through all modules looks for a file
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _late(*names: str) -> Iterator[None]:
    """Imports of these modules load nothing. To use one at once is a RecursionError; afterwards it is loaded then."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update((name, _Late(name)) for name in missing)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


@contextmanager
def _no_list_of_packages() -> Iterator[None]:
    """It names packages whose distribution has another name, of which none is used here."""
    listing = metadata.packages_distributions
    metadata.packages_distributions = dict
    try:
        yield
    finally:
        metadata.packages_distributions = listing
