"""Makes sure the worker finds its Python packages; asks once, with a plan, and only when something is missing."""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..common.Failure import Failure
from ..common.Translation import tr as _
from .SystemFacts import freeGB, graphicsCards, longPathsForbidden, proxyHost, sitePackages

_LONGEST_IN_TORCH = 125
"""Characters of the longest path below site-packages, PyTorch 2.13 (119), with some room."""
_LEAST_GB = {"torch": 2.0, "": 0.3}
"""Free space below which nothing is begun; torch for CPUs has 0.75 GB installed (2.13), beside its download."""
EXTENSION = "PyTorch"


@dataclass(frozen=True)
class InstallationPlan:
    """What would be installed, shown before anything is fetched.

    :param packages: requirements, as pip reads them.
    :param repairs: names of packages that are there by half and will be removed first.
    :param needsExtension: the extension that installs PyTorch is missing; it comes first, and the user restarts.
    :param problems: why it cannot work; empty if nothing is known against it.
    """

    packages: tuple[str, ...]
    repairs: tuple[str, ...]
    needsExtension: bool
    lines: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def text(self) -> str:
        """The plan for people."""
        head = _("GBMResponse needs Python packages that are not installed yet:")
        parts = [head, "\n".join(self.packages), "\n".join(self.lines), "\n".join(self.problems)]
        return "\n\n".join(part for part in parts if part)


class Guide(Protocol):
    """Who asks the user and shows how it goes: `InstallationDialog`, or one question without a window."""

    def ask(self, plan: InstallationPlan) -> bool:
        """Whether to install."""

    def running(self) -> contextlib.AbstractContextManager[Callable[[str], None]]:
        """Lock the application; gives what takes a line of the log."""


class Question:
    """One question and no progress.

    :param confirm: asks the user and returns the answer.
    """

    def __init__(self, confirm: Callable[[str], bool]) -> None:
        self._confirm = confirm

    def ask(self, plan: InstallationPlan) -> bool:
        """Ask with the plan as text."""
        return self._confirm(plan.text + "\n\n" + _("Install them now?"))

    @contextlib.contextmanager
    def running(self) -> Iterator[Callable[[str], None]]:
        """Show nothing."""
        yield lambda line: None


class DependencyInstaller:
    """Installs PyTorch with the PyTorch extension and the rest with `slicer.packaging`.

    Nothing that is installed already is replaced: pip gets all of it as constraints.

    :param packaging: `slicer.packaging`.
    :param findSpec: tells whether a module can be found, without importing it.
    :param torchInstaller: returns the logic of the PyTorch extension; raises ImportError without that extension.
    :param installExtension: installs an extension by its name; returns whether it did.
    """

    def __init__(
        self,
        requirementsPath: Path,
        packaging: Any,
        guide: Guide,
        findSpec: Callable[[str], Any] = importlib.util.find_spec,
        torchInstaller: Callable[[], Any] | None = None,
        installExtension: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self._requirementsPath = requirementsPath
        self._packaging = packaging
        self.guide = guide
        self._findSpec = findSpec
        self._torchInstaller = torchInstaller or _pyTorchExtension
        self._installExtension = installExtension

    def missing(self) -> list[str]:
        """Return the names of what has to be installed; reads metadata only."""
        names = [] if self._torchState() == "ok" else [f"torch{torchRequirement()}"]
        return names + [str(requirement) for requirement in self._missingRequirements()]

    def ensure(self) -> bool:
        """Install what is missing, after asking.

        :returns: whether something was installed.
        :raises Failure: the user declined, or the installation failed. Nothing is half used then: the worker checks.
        """
        if not self.missing():
            return False
        if self._packaging.isPipInstallInProgress():
            raise Failure("busy", _("Another installation of Python packages is running."), _("Wait for its end."))
        plan = self.plan()
        if not self.guide.ask(plan):
            remedy = _("Press Predict again to install them, or see the offline recipe in the documentation.")
            raise Failure("declined", _("The Python packages were not installed."), remedy)
        if plan.problems:
            raise Failure("install-failed", " ".join(plan.problems))
        with self.guide.running() as log:
            self._guarded(plan, log)
        importlib.invalidate_caches()
        return True

    def plan(self) -> InstallationPlan:
        """Return what would be installed, and what is known against it."""
        torch, packages = self._torchState(), tuple(self.missing())
        needsExtension = torch != "ok" and self._extension() is None
        place, wantsTorch = sitePackages(), torch != "ok"
        free, proxy = freeGB(place), proxyHost()
        lines = [_("Into: {folder}").format(folder=place)]
        if wantsTorch:
            size = _("PyTorch: about 0.8 GB on disk without a graphics card, several GB with one; some minutes.")
            lines += [size, _("Graphics card: {card}").format(card=graphicsCards() or _("none found"))]
        if free is not None:
            lines.append(_("Free disk space: {free:.1f} GB").format(free=free))
        lines.append(_("Proxy: {proxy}").format(proxy=proxy or _("none")))
        if torch == "broken":
            lines.append(_("PyTorch is there by half: what is left of it is removed first."))
        if needsExtension:
            lines.append(
                _("The extension PyTorch, which installs PyTorch, comes first; then Slicer has to be restarted.")
            )
        problems = [*self._replaced(), *_spaceProblems(place, free, wantsTorch)]
        repairs = ("torch", "torchvision") if torch in ("broken", "other") else ()
        return InstallationPlan(packages, repairs, needsExtension, tuple(lines), tuple(problems))

    def _guarded(self, plan: InstallationPlan, log: Callable[[str], None]) -> None:
        """Whatever the installers raise becomes a sentence; so does what they do not say."""
        try:
            self._install(plan, log)
        except Failure:
            raise
        except Exception as error:
            message = _("The Python packages could not be installed.")
            remedy = _("Check the internet connection and the log, or see the offline recipe in the documentation.")
            raise Failure("install-failed", message, remedy, f"{type(error).__name__}: {error}") from error
        importlib.invalidate_caches()
        still = self.missing()
        if still:
            message = _("Still not installed: {names}.").format(names=", ".join(still))
            raise Failure("install-failed", message, _("Read the log; restart Slicer and press Predict again."))

    def _install(self, plan: InstallationPlan, log: Callable[[str], None]) -> None:
        if plan.needsExtension:
            if not self._installExtension(EXTENSION):
                raise Failure("dependency", _("The extension PyTorch could not be installed."), _torchRemedy())
            raise Failure("dependency", _("The extension PyTorch was installed."), _restart())
        # Slicer prints what pip says, line by line, and runs the event loop meanwhile (slicer.util.logProcessOutput).
        with contextlib.redirect_stdout(_Lines(log)), _constraints(plan.repairs) as constraints:
            if plan.repairs:
                self._packaging.pip_uninstall(list(plan.repairs))
            if self._torchState() != "ok":
                options = {"askConfirmation": False, "torchVersionRequirement": torchRequirement()}
                if self._extension().installTorch(**options) is None:
                    raise Failure("dependency", _("PyTorch was not installed."), _torchRemedy())
            requirements = self._missingRequirements()
            if requirements:
                self._packaging.pip_ensure(
                    requirements,
                    constraints=constraints,
                    prompt_install=False,
                    prompt_restart=False,  # constraints let nothing be replaced that may be loaded
                    requester="GBMResponse",
                    show_progress=False,
                )

    def _torchState(self) -> str:
        """`ok`, `absent`, `broken` (there by half), or `other` (a version that is not fit)."""
        spec = self._findSpec("torch")
        fits = self._packaging.pip_check([f"torch{torchRequirement()}"])
        if spec is None:
            return "broken" if fits else "absent"
        folder = Path(spec.origin).parent if spec.origin else None
        if folder is None or not (folder / "version.py").is_file() or not any((folder / "lib").glob("*torch*")):
            return "broken"
        return "ok" if fits else "other"

    def _replaced(self) -> list[str]:
        """What pip would have to replace; that is refused, as Slicer or another extension relies on it."""
        sentence = _("{name} {version} is installed, {requirement} is needed: nothing that is installed is replaced.")
        found = []
        for requirement in self._missingRequirements():
            name = str(getattr(requirement, "name", requirement))
            with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
                version = importlib.metadata.version(name)
                found.append(sentence.format(name=name, version=version, requirement=requirement))
        return found

    def _missingRequirements(self) -> list[Any]:
        requirements = self._packaging.load_requirements(self._requirementsPath)
        return [requirement for requirement in requirements if not self._packaging.pip_check([requirement])]

    def _extension(self) -> Any:
        try:
            return self._torchInstaller()
        except ImportError:
            return None


def torchRequirement() -> str:
    """Return the versions of PyTorch that work in this Slicer's Python; 2.13 does not load on Windows in 5.12."""
    return ">=2.6,<2.13" if os.name == "nt" else ">=2.6"


def _spaceProblems(place: Path, free: float | None, wantsTorch: bool) -> list[str]:
    problems, least = [], _LEAST_GB["torch" if wantsTorch else ""]
    if free is not None and free < least:
        sentence = _("The disk has {free:.1f} GB free; at least {least:.1f} GB are needed.")
        problems.append(sentence.format(free=free, least=least))
    if wantsTorch and longPathsForbidden() and len(str(place)) + _LONGEST_IN_TORCH >= 260:
        problems.append(_("The folder is too long for Windows: install Slicer in a shorter one, or allow long paths."))
    return problems


@contextlib.contextmanager
def _constraints(without: tuple[str, ...]) -> Iterator[str]:
    """A file of all that is installed, also for pip inside other installers."""
    found = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
    lines = sorted(f"{name}=={version}" for name, version in found.items() if name and version and name not in without)
    with tempfile.TemporaryDirectory(prefix="GBMResponse-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        before = os.environ.get("PIP_CONSTRAINT")
        os.environ["PIP_CONSTRAINT"] = path.as_uri()  # pip parts a plain path at its spaces
        try:
            yield str(path)
        finally:
            if before is None:
                del os.environ["PIP_CONSTRAINT"]
            else:
                os.environ["PIP_CONSTRAINT"] = before


class _Lines(io.TextIOBase):
    """Hands on what is printed, line by line."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)


def _restart() -> str:
    return _("Restart Slicer, then press Predict again.")


def _torchRemedy() -> str:
    return _("Install the extension PyTorch in the Extensions Manager, restart Slicer, and press Predict again.")


def _pyTorchExtension() -> Any:
    return importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
