"""The worker as an operating system process: QProcess, JSON lines, no threads."""

import codecs
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import qt
from GBMResponseCore.model.environment import search_path

from ..common.Signal import Signal
from ..common.Translation import tr as _
from .WorkerProtocol import MessageDecoder, encodeMessage

_GRACE_MS = 2000
_LAUNCHER_MS = 5000
_START_MS = 10_000

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""On Windows any signal ends the process at once."""


class WorkerProcess:
    """Starts and ends the worker and carries lines to and from it.

    PythonSlicer is a launcher: the worker is a child of the process that is started here, and goes on if that alone is
    killed. It says its own process number when it is ready.

    Signals: `messageReceived(dict)`, `logReceived(str)`, `stopped(reason: str, failedToStart: bool)`, the last once per
    start.

    :param command: program and arguments, never a shell string.
    :param moduleFolder: the folder that holds GBMResponseCore.
    """

    def __init__(self, command: list[str], moduleFolder: Path) -> None:
        self.messageReceived, self.logReceived, self.stopped = Signal(), Signal(), Signal()
        self._program, *self._arguments = command
        self._decoder = MessageDecoder()
        self._logDecoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._started = False
        self._worker: int | None = None
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(_environment())
        self._process.setWorkingDirectory(str(moduleFolder))
        self._process.connect("readyReadStandardOutput()", self._onOutput)
        self._process.connect("readyReadStandardError()", self._onLog)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._onError)

    def start(self) -> None:
        """Start the process; it may still fail, which `stopped` tells."""
        self._decoder.reset()
        self._logDecoder.reset()
        self._started = True
        self._worker = None
        self._process.start(self._program, self._arguments)

    def isRunning(self) -> bool:
        """Whether the process is starting or running."""
        return self._process.state() != qt.QProcess.NotRunning

    def send(self, message: dict[str, Any]) -> None:
        """Queue a line for the process; the event loop writes it."""
        self._process.write(qt.QByteArray(encodeMessage(message)))

    def closeInput(self) -> None:
        """Tell the process that nothing follows; a worker then ends."""
        self._process.closeWriteChannel()

    def terminate(self) -> None:
        """Ask the process to end; on Windows it may not hear."""
        if os.name != "nt":  # where this signal ends a process without asking
            self._signalWorker(signal.SIGTERM)
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._signalWorker(_KILL)
        self._process.kill()

    def waitForEvents(self, milliseconds: int) -> None:
        """Wait for output at most this long; for blocking callers."""
        if self.isRunning():
            self._process.waitForReadyRead(milliseconds)

    def close(self, graceMs: int = _GRACE_MS) -> None:
        """Wait until the process is gone, and kill it if it is not in time; a destroyed QProcess must not be running.

        :param graceMs: time of one that is ready.

        The input closes first, with which a worker ends. Its launcher is killed last: it ends with the worker, and who
        kills it earlier does not know when the worker has gone.
        """
        self.messageReceived.disconnectAll()
        self.logReceived.disconnectAll()
        self.stopped.disconnectAll()
        if self.isRunning():
            self._process.closeWriteChannel()
            # A worker that is not ready yet has nothing to finish: it ends as soon as it reads.
            if not self._process.waitForFinished(_START_MS if self._worker is None else graceMs):
                self._signalWorker(_KILL)
                if not self._process.waitForFinished(_LAUNCHER_MS):
                    self._process.kill()
                    self._process.waitForFinished(_LAUNCHER_MS)

    def _onOutput(self) -> None:
        for decoded in self._decoder.feed(_bytes(self._process.readAllStandardOutput())):
            if isinstance(decoded, str):
                self.logReceived.emit(decoded)
                continue
            if decoded["type"] == "ready" and isinstance(decoded.get("pid"), int) and decoded["pid"] > 1:
                self._worker = decoded["pid"]
            self.messageReceived.emit(decoded)

    def _onLog(self) -> None:
        text = self._logDecoder.decode(_bytes(self._process.readAllStandardError()))
        if text:
            self.logReceived.emit(text.rstrip("\n"))

    def _onFinished(self, exitCode: int, exitStatus: int) -> None:
        self._onOutput()
        self._onLog()
        if exitStatus == qt.QProcess.CrashExit:
            self._stop(_("it crashed or was ended from outside"), False)
        else:
            self._stop(_("exit code {code}").format(code=exitCode), False)

    def _onError(self, error: int) -> None:
        """Only a failed start is not followed by `finished`."""
        if error == qt.QProcess.FailedToStart:
            self._stop(f"{self._program}: {self._process.errorString()}", True)

    def _signalWorker(self, number: int) -> None:
        """Only while its launcher waits for it: later the number may be that of another process."""
        if self._worker is not None and self.isRunning():
            with suppress(OSError):
                os.kill(self._worker, number)

    def _stop(self, reason: str, failedToStart: bool) -> None:
        if self._started:
            self._started = False
            self.stopped.emit(reason, failedToStart)


def _bytes(data: Any) -> bytes:
    content = data.data()
    return content.encode("utf-8", errors="replace") if isinstance(content, str) else bytes(content)


def _environment() -> Any:
    environment = qt.QProcessEnvironment.systemEnvironment()
    environment.insert("PYTHONPATH", search_path())
    environment.insert("PYTHONIOENCODING", "utf-8")
    environment.insert("PYTHONUNBUFFERED", "1")
    return environment
