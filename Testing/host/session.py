"""The one session of a process: starts everything in the right order and drives the panel for tests and tools."""

import os
import pathlib
import stat
import sys
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MPLBACKEND", "Agg")  # matplotlib would otherwise choose Qt once a QApplication runs

from host import pythonqt

qt = pythonqt.install()  # before anything else touches Qt

import slicer  # noqa: E402

from host import (  # noqa: E402
    ctk_doubles,
    dicom_doubles,
    packaging_double,
    sample_data_double,
    scripted_module,
    slicer_source,
    ui_loader,
)

MODULE = pathlib.Path(__file__).resolve().parents[2] / "GBMResponse" / "GBMResponse.py"


class Session:
    """Application, module panel and helpers. Use host.start()."""

    def __init__(self):
        ctk_doubles.module()
        from host import application, layout, modules, qmrml_doubles

        qt.QUiLoader = ui_loader.UiLoader
        self.app = application.start()
        qmrml_doubles.publish()
        modules.publish()
        from host import parameter_node  # needs slicer.qMRML...

        for part in (scripted_module, parameter_node, packaging_double, sample_data_double, dicom_doubles):
            part.install()
        slicer_source.install()
        self._layoutClass, self._layout = layout.qSlicerLayoutManager, None
        self._loadModule = modules.loadModule
        self._pythonSlicer()
        self._library = {}  # modules of the packages beside the module, as they were first loaded
        self.errors = []  # exceptions that ended in slots and observers
        sys.excepthook = self._onException

    def _pythonSlicer(self) -> None:
        """Put a program PythonSlicer on PATH: this interpreter, as Slicer's is Slicer's."""
        folder = pathlib.Path(self.app.slicerHome, "bin")
        folder.mkdir(exist_ok=True)
        if os.name == "nt":
            (folder / "PythonSlicer.bat").write_text(f'@"{sys.executable}" %*\n', encoding="utf-8")
        else:
            program = folder / "PythonSlicer"
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"

    def _onException(self, kind, error, trace) -> None:
        self.errors.append(error)
        sys.__excepthook__(kind, error, trace)

    def useMainWindow(self):
        """Give slicer.app its layout manager and return it: one per process, a second set of views would not draw."""
        if self._layout is None:
            self._layout = self._layoutClass()
        self.app._layoutManager = self._layout
        return self._layout

    def useNoMainWindow(self) -> None:
        """Make slicer.app.layoutManager() return None, as in Slicer --no-main-window."""
        self.app._layoutManager = None

    def loadModule(self, path=MODULE):
        """Load the module file and return its widget object (the Python class), entered."""
        stem = pathlib.Path(path).stem
        name = stem.lower()
        if not hasattr(slicer.modules, name):
            self._loadModule(pathlib.Path(path))
            self.app.startupCompleted.emit()
        panel = getattr(slicer.modules, name).widgetRepresentation()
        if not panel.isEntered:
            panel.enter()
        if not self._library:
            packages = (f"{stem}Lib", f"{stem}Core")
            self._library = {key: part for key, part in sys.modules.items() if key.startswith(packages)}
        return panel.self()

    def unloadModule(self, path=MODULE) -> None:
        """Clean the panel up and forget the module, so that the next loadModule() starts afresh."""
        stem = pathlib.Path(path).stem
        module = getattr(slicer.modules, stem.lower(), None)
        if module is None:
            return
        panel = module.widgetRepresentation()
        if panel.isEntered:
            panel.exit()
        self.app.moduleManager().moduleAboutToBeUnloaded.emit(stem)
        panel.deleteLater()
        for name in (stem.lower(), stem + "Instance", stem + "Widget"):
            if hasattr(slicer.modules, name):
                delattr(slicer.modules, name)
        del sys.modules[stem]
        sys.modules.update(self._library)  # after a reload: what tests have imported is the library again
        self.spin(0.05)

    def spin(self, seconds: float) -> None:
        """Run the event loop for a while."""
        self.until(lambda: False, seconds, fail=False)

    def until(self, condition, seconds: float = 600.0, fail: bool = True) -> bool:
        """Run the event loop until the condition holds; raise TimeoutError when it does not in time.

        The time is for what hangs: a busy machine may take many times as long as another.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                if fail:
                    raise TimeoutError(f"not within {seconds:g} s")
                return False
            self.app.processEvents(qt.QEventLoop.AllEvents, 10)
            self.app.sendPostedEvents(None, qt.QEvent.DeferredDelete)
            time.sleep(0.003)
        return True

    def screenshot(self, widget, path, size=None) -> pathlib.Path:
        """Write a picture of a widget (a QWidget, or a module's widget object) and return the path."""
        widget = widget if isinstance(widget, qt.QWidget) else widget.parent
        if size is not None:
            widget.resize(*size)
        widget.show()
        for _turn in range(20):  # a change of a layout takes several turns to reach the outermost one
            self.spin(0.02)
        if not widget.grab().save(str(path)):
            raise OSError(f"cannot write {path}")
        return pathlib.Path(path)

    def window(self, panel, size=(1500, 900), panelWidth=520):
        """Return a window with the panel at the left, in a scroll area, and the views at the right."""
        area = qt.QScrollArea()
        area.widgetResizable = True
        area.setWidget(panel.parent)
        area.setMinimumWidth(panelWidth)
        area.setMaximumWidth(panelWidth)
        window = qt.QWidget()
        row = qt.QHBoxLayout(window)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(area)
        row.addWidget(self.useMainWindow().viewport(), 1)
        window.resize(*size)
        return window


_session = None


def session() -> Session:
    """Return the session, started at the first call."""
    global _session  # noqa: PLW0603  one Qt application per process
    if _session is None:
        _session = Session()
    return _session
