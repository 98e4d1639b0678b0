"""Certificates of the tests, made by openssl for the time of a test, and a door that asks for them."""

import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def missing() -> str:
    """Why no certificates can be made here; empty if they can."""
    return "" if shutil.which("openssl") else "openssl is not installed"


def authority(folder: Path, name: str) -> Path:
    """Make an authority; return the file of its certificate."""
    return _made(folder, name, "-addext", "keyUsage=critical,keyCertSign")


def certificate(signer: Path, name: str, *names: str) -> Path:
    """Make a certificate; return its file, in which its key is, too.

    :param signer: of :func:`authority`.
    :param names: that it is for, such as `IP:127.0.0.1`.
    """
    words = ["-CA", signer, "-CAkey", signer.with_suffix(".key"), "-addext", "basicConstraints=critical,CA:FALSE"]
    words += ["-addext", f"subjectAltName={','.join(names)}"] if names else []
    path = _made(signer.parent, name, *words)
    path.write_text(path.read_text() + path.with_suffix(".key").read_text())
    return path


def _made(folder: Path, name: str, *words: object) -> Path:
    path = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", *_KEY, "-subj", f"/CN={name}", "-keyout", path.with_suffix(".key")]
    subprocess.run([*map(str, [*command, "-out", path, *words])], check=True, capture_output=True)
    return path


def locked(path: Path, password: str) -> Path:
    """A copy of a certificate whose key is encrypted."""
    key, target = path.with_suffix(".key"), path.with_name(f"locked_{path.name}")
    words = ["openssl", "pkcs8", "-topk8", "-in", key, "-passout", f"pass:{password}"]
    encrypted = subprocess.run([*map(str, words)], check=True, capture_output=True, text=True).stdout
    target.write_text(path.read_text().partition("-----BEGIN PRIVATE KEY")[0] + encrypted)
    return target


@contextmanager
def front(server: Path, authority: Path, port: int) -> Iterator[int]:
    """Reach a local port by TLS: lets in who has a certificate of an authority, and passes on what they say.

    (Orthanc 1.10 of Debian 12 ends with a segmentation fault when it is to ask for certificates itself.)

    :param server: the certificate that is shown.
    :return: the port of the front.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as outer:
                with socket.create_connection(("127.0.0.1", port)) as inner:
                    back = threading.Thread(target=_pass_on, args=(inner, outer), daemon=True)
                    back.start()
                    _pass_on(outer, inner)
                    back.join()

    class Front(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Front(("127.0.0.1", 0), Relay) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
