"""Makes sure the worker finds its Python packages; asks once, and only when something is missing."""

import importlib
import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..common.Failure import Failure
from ..common.Translation import tr as _


class DependencyInstaller:
    """Installs PyTorch with the PyTorch extension and the rest with `slicer.packaging`.

    :param packaging: `slicer.packaging`.
    :param confirm: asks the user one question and returns the answer.
    :param findSpec: tells whether a module can be found, without importing it.
    :param torchInstaller: returns the logic of the PyTorch extension; raises ImportError without that extension.
    """

    def __init__(
        self,
        requirementsPath: Path,
        packaging: Any,
        confirm: Callable[[str], bool],
        findSpec: Callable[[str], Any] = importlib.util.find_spec,
        torchInstaller: Callable[[], Any] | None = None,
    ) -> None:
        self._requirementsPath = requirementsPath
        self._packaging = packaging
        self._confirm = confirm
        self._findSpec = findSpec
        self._torchInstaller = torchInstaller or _pyTorchExtension

    def missing(self) -> list[str]:
        """Return the names of what has to be installed; reads metadata only."""
        names = [] if self._hasTorch() else ["torch"]
        return names + [str(requirement) for requirement in self._missingRequirements()]

    def ensure(self) -> bool:
        """Install what is missing, after asking.

        :returns: whether something was installed.
        :raises Failure: the user declined, or the installation failed. Nothing is half used then: the worker checks.
        """
        missing = self.missing()
        if not missing:
            return False
        installer = None if self._hasTorch() else self._installer()
        question = _("GBMResponse needs Python packages that are not installed yet:\n\n{names}\n\nInstall them now?")
        names = "\n".join(missing)
        if installer is not None:
            names += "\n\n" + _("PyTorch takes up to 3 GB of disk space and some minutes.")
        if not self._confirm(question.format(names=names)):
            remedy = _("Press Predict again to install them, or see the offline recipe in the documentation.")
            raise Failure("declined", _("The Python packages were not installed."), remedy)
        try:
            if installer is not None and installer.installTorch(askConfirmation=False) is None:
                raise Failure("dependency", _("PyTorch was not installed."), _torchRemedy())
            requirements = self._missingRequirements()
            if requirements:
                self._packaging.pip_ensure(requirements, prompt_install=False, requester="GBMResponse")
        except (OSError, RuntimeError, ImportError, ValueError, subprocess.CalledProcessError) as error:
            message = _("The Python packages could not be installed.")
            remedy = _("Check the internet connection and the log, or see the offline recipe in the documentation.")
            raise Failure("install-failed", message, remedy, f"{type(error).__name__}: {error}") from error
        importlib.invalidate_caches()
        return True

    def _hasTorch(self) -> bool:
        return self._findSpec("torch") is not None

    def _missingRequirements(self) -> list[Any]:
        requirements = self._packaging.load_requirements(self._requirementsPath)
        return [requirement for requirement in requirements if not self._packaging.pip_check([requirement])]

    def _installer(self) -> Any:
        try:
            return self._torchInstaller()
        except ImportError as error:
            message = _("PyTorch is not installed, and neither is the PyTorch extension that installs it.")
            raise Failure("dependency", message, _torchRemedy(), str(error)) from error


def _torchRemedy() -> str:
    return _("Install the extension PyTorch in the Extensions Manager, restart Slicer, and press Predict again.")


def _pyTorchExtension() -> Any:
    return importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
