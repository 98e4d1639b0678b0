"""What a maintainer asks about a computer first; nothing of it is about a patient."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import urllib.parse
import urllib.request
from pathlib import Path

_SMI_SECONDS = 5


def sitePackages() -> Path:
    """Return the folder that packages are installed into."""
    return Path(sysconfig.get_paths()["purelib"])


def installedVersion(name: str) -> str:
    """Return the version that a package's metadata name; empty if there are none. The package is not imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def freeGB(folder: Path) -> float | None:
    """Return the free space in a folder; None if it cannot be asked."""
    try:
        return shutil.disk_usage(folder).free / 1e9
    except OSError:
        return None


def memoryGB() -> float | None:
    """Return the memory of this computer; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def graphicsCards() -> str:
    """Return name, memory and driver of each NVIDIA card; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(line.strip() for line in answer.stdout.splitlines() if line.strip())


def proxyHost() -> str:
    """Return host and port of the proxy that is set, without name and password; empty without one."""
    address = urllib.request.getproxies().get("https", "")
    parts = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
    return f"{parts.hostname}:{parts.port}" if parts.hostname and parts.port else parts.hostname or ""


def longPathsForbidden() -> bool:
    """Whether this is a Windows that allows no paths of 260 characters and more."""
    if os.name != "nt":
        return False
    import winreg

    place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] != 1
    except OSError:
        return True


def systemLines() -> list[str]:
    """Return the facts for a bug report, a line each."""
    free, memory, torch = freeGB(sitePackages()), memoryGB(), installedVersion("torch")
    lines = [f"PyTorch {torch or 'not installed'}"]  # its local version names the CUDA it was built for
    lines.append(f"NVIDIA: {graphicsCards() or 'no card or no driver'}")
    lines.append(f"Memory: {'unknown' if memory is None else f'{memory:.0f} GB'}")
    lines.append(f"Free beside the Python packages: {'unknown' if free is None else f'{free:.1f} GB'}")
    lines.append(f"Proxy: {'yes' if proxyHost() else 'no'}")
    return lines
