"""A DICOM server of the tests: Orthanc with its DICOMweb plugin, in a folder and at a loopback port of its own."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "tests", "loopback"


def missing() -> str:
    """Why no server can be started here; empty if one can."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        return "Orthanc with its DICOMweb plugin is not installed (make system, on Debian or Ubuntu as root)"
    return ""


class Orthanc:
    """:param url: of its DICOMweb service."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self.url = f"{self._root}/dicom-web"

    def ask(self, path: str) -> object:
        """Answer of its own interface, decoded."""
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, self._root, USER, PASSWORD)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
        with opener.open(f"{self._root}{path}", timeout=600) as answer:
            return json.load(answer)


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """Start a server with an empty archive, and end it."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = {
        "Name": "tests", "StorageDirectory": str(folder / "archive"), "IndexDirectory": str(folder / "archive"),
        "HttpPort": port, "RemoteAccessAllowed": False, "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD}, "DicomServerEnabled": False, "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True}, "OverwriteInstances": False,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        server, deadline = Orthanc(port), time.monotonic() + 600
        while True:
            try:
                server.ask("/system")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log.txt").read_text()) from None
                time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        process.wait(600)
