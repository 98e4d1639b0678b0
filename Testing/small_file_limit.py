"""Writing fails as on a full disk: the system refuses files beyond a size."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def small_file_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes; skips the test where the system has no such limit."""
    resource = pytest.importorskip("resource")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
