"""DICOMweb: a study fetched into a folder, objects of a folder sent; an interrupted one goes on where it was.

What is there already is asked of the disk or of the server, never remembered: so a kill at any moment loses nothing,
and nothing is sent twice.
"""

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import DicomServerError, MissingFileError, MissingPackageError, UnreadableFileError
from ..files import check_file, ensure_output_folder, sweep_partial_files, write_file
from .tree import is_dicom, pydicom_module

PASSWORD = "GBMRESPONSE_DICOM_PASSWORD"
"""Environment variable of the password: on a command line everyone could read it."""
_FIRST_PAUSE_S = 1.0
_NOT_TRUSTED = (
    "Name the file of its authority's certificate with --ca; never send patients to a server that is not known."
)
_NOT_LET_IN = "If the server wants a certificate of yours, name it with --certificate; else check address and port."

Say = Callable[[str], None]
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Server:
    """A DICOMweb server and how to talk to it.

    :param url: of the service, for example `https://pacs/dicom-web`.
    :param user: the password is in the environment, see :data:`PASSWORD`.
    :param authority: file with the certificates that the server's is checked by; None: those of the system.
    :param certificate: file with our own certificate and its key, if the server asks for one.
    :param timeout: seconds until a request without an answer has failed.
    :param tries: of each request.
    """

    url: str
    user: str | None = None
    authority: Path | None = None
    certificate: Path | None = None
    timeout: float = 60.0
    tries: int = 5
    pause_s: float = field(default=_FIRST_PAUSE_S, repr=False)

    def instances(self, study: str) -> dict[str, tuple[str, str]]:
        """Objects of a study that the server has: UID -> UID of the series, and modality.

        :raises DicomServerError: it does not answer, or refuses.
        """
        found = {}
        for series in self._search("series", lambda client: client.search_for_series(study, get_remaining=True)):
            uid, modality = _value(series, "0020000E"), _value(series, "00080060")

            def of_series(client: Any, uid: str = uid) -> Any:
                return client.search_for_instances(study, uid, get_remaining=True)

            for instance in self._search("instances", of_series):
                found[_value(instance, "00080018")] = (uid, modality)
        return found

    def fetch(self, study: str, series: str, instance: str) -> Any:
        """One object.

        :raises DicomServerError: it does not answer, or refuses.
        """
        return self._ask("fetch", lambda client: client.retrieve_instance(study, series, instance))

    def store(self, dataset: Any) -> None:
        """Send one object, once.

        :raises DicomServerError: it does not answer, refuses, or has not stored it.
        """
        study, uid = str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)

        def send(client: Any, again: list[bool]) -> None:
            # After a lost answer the object may be there.
            if not again or uid not in self.instances(study):
                again.append(True)
                answer = client.store_instances([dataset], study)
                failed = answer.get("FailedSOPSequence")
                if failed:
                    raise DicomServerError(f"The server has refused an object, for reason {failed[0].FailureReason}.")

        again: list[bool] = []
        self._ask("send", lambda client: send(client, again))

    def _search(self, what: str, search: Callable[[Any], Any]) -> list[dict[str, Any]]:
        return list(self._ask(f"list {what}", search) or [])

    def _ask(self, what: str, question: Callable[[Any], _Result]) -> _Result:
        """:raises DicomServerError: all tries have failed, or another one makes no sense."""
        import requests

        for left in reversed(range(self.tries)):
            try:
                return question(self._client)
            except requests.HTTPError as error:
                status = getattr(error.response, "status_code", 0)
                if status < 500 and status not in (408, 429):
                    raise DicomServerError(f"The server refuses to {what}: HTTP status {status}.") from None
                problem = f"HTTP status {status}"
            except requests.exceptions.SSLError as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error) or "doesn't match" in str(error):
                    raise DicomServerError("The certificate of the server is not trusted.", _NOT_TRUSTED) from None
                raise DicomServerError(f"No secure connection can be made to {what}.", _NOT_LET_IN) from None
            except (requests.RequestException, OSError) as error:
                problem = type(error).__name__  # its text may name people
            except (ValueError, LookupError, AttributeError, TypeError) as error:
                message = f"The answer of the server cannot be read ({type(error).__name__})."
                raise DicomServerError(message, "Check that the address is that of its DICOMweb service.") from None
            if left:
                time.sleep(self.pause_s * 2 ** (self.tries - left - 1))
        # Without a certificate some servers let a connection begin, and then drop it without a word.
        dropped = problem == "ConnectionError" and self.url.casefold().startswith("https:")
        message = f"The server cannot be asked to {what}: {problem}, {self.tries} times."
        raise DicomServerError(message, _NOT_LET_IN if dropped else None)

    @cached_property
    def _client(self) -> Any:
        """:raises MissingPackageError: without dicomweb-client."""
        try:
            import requests
            from dicomweb_client import DICOMwebClient
        except ImportError:
            raise MissingPackageError("dicomweb-client", "talk to a DICOM server") from None
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it logs addresses, which hold UIDs
        session = requests.Session()
        if self.user is not None:
            session.auth = (self.user, os.environ.get(PASSWORD, ""))
        if self.certificate is not None:
            _check_certificates(self.certificate, own=True)
            session.cert = str(self.certificate)
        if self.authority is not None:
            _check_certificates(self.authority, own=False)
            settings = session.merge_environment_settings  # where REQUESTS_CA_BUNDLE would come first
            session.merge_environment_settings = lambda *of: {**settings(*of), "verify": str(self.authority)}
        try:
            client = DICOMwebClient(self.url, session=session, timeout=self.timeout)
        except ValueError:
            raise DicomServerError(
                "The address of the server is none.", "Give one as https://pacs/dicom-web."
            ) from None
        client.set_http_retry_params(retry=False)
        return client


def fetch_study(server: Server, study: str, out: Path, modalities: Sequence[str] = (), say: Say = print) -> list[Path]:
    """Fetch the objects of a study that are not in the folder yet: `out`/series/object.dcm.

    :param modalities: of the series to fetch; none: all.
    :return: all files of the study, also those that were there.
    :raises DicomServerError: the server does not answer or has no such study.
    :raises OutputFolderError: a file cannot be written; those before it stay.
    """
    found = server.instances(study)
    wanted = {uid: series for uid, (series, modality) in found.items() if not modalities or modality in modalities}
    if not wanted:
        raise DicomServerError("The server has no such study, or nothing of these kinds in it.", "Check its UID.")
    files = []
    for number, (uid, series) in enumerate(sorted(wanted.items(), key=lambda item: (item[1], item[0])), start=1):
        folder = ensure_output_folder(out / series) if not (out / series).is_dir() else out / series
        path = folder / f"{uid}.dcm"
        if not path.is_file():
            dataset = server.fetch(study, series, uid)
            write_file(path, partial(dataset.save_as, enforce_file_format=True))
            say(f"[{number}/{len(wanted)}] fetched")
        files.append(path)
    for folder in {path.parent for path in files}:
        sweep_partial_files(folder)
    return files


def send_folder(server: Server, folder: Path, say: Say = print) -> tuple[int, int]:
    """Send the DICOM files below a folder that the server does not have.

    :return: how many were sent, and how many were there.
    :raises MissingFileError: there are none.
    :raises UnreadableFileError: one cannot be read; nothing was sent.
    :raises DicomServerError: the server does not answer, or refuses; what was sent before is there.
    """
    headers = list(_headers(folder))
    if not headers:
        raise MissingFileError(f"There are no DICOM files in the folder {folder.name}.")
    there: dict[str, dict[str, tuple[str, str]]] = {}
    sent = 0
    for number, (path, study, uid) in enumerate(headers, start=1):
        if study not in there:
            there[study] = server.instances(study)
        if uid not in there[study]:
            server.store(pydicom_module().dcmread(path))
            there[study][uid] = ("", "")
            sent += 1
            say(f"[{number}/{len(headers)}] sent")
    return sent, len(headers) - sent


def _check_certificates(path: Path, own: bool) -> None:
    """Check a file of certificates; without it a damaged one shows as a server that cannot be reached.

    :param own: it is our certificate with its key, else those of authorities.
    :raises MissingFileError, UnreadableFileError: it is not what it should be.
    """

    def refuse() -> str:
        raise UnreadableFileError(f"The key in {path.name} has a password.", "Give a file whose key has none.")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if own:
            context.load_cert_chain(check_file(path, "certificate"), password=refuse)
        else:
            context.load_verify_locations(check_file(path, "certificate"))
    except (ssl.SSLError, OSError):
        what = "certificate with its key" if own else "certificate"
        raise UnreadableFileError(f"The file {path.name} holds no {what}.", "Give one in PEM format.") from None


def _headers(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """File, UID of its study and its own.

    :raises UnreadableFileError: a DICOM file has none, or is damaged.
    """
    pydicom = pydicom_module()
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or not is_dicom(path):
            continue
        try:
            header = pydicom.dcmread(path, specific_tags=["StudyInstanceUID", "SOPInstanceUID", "SOPClassUID"])
            yield path, str(header.StudyInstanceUID), str(header.SOPInstanceUID)
        except Exception as error:
            message = f"The DICOM file {path.name} cannot be read ({type(error).__name__})."
            raise UnreadableFileError(message, "Remove it, or export it again.") from error


def _value(item: dict[str, Any], tag: str) -> str:
    """First value of a tag of a JSON object."""
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])
