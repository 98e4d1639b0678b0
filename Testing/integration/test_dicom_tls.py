"""An archive that is reached by HTTPS alone and asks for a certificate: who is trusted, who is let in, what is said."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import certificates
import orthanc
import phantoms
import pydicom
import pytest
from fake_dicom import write_series
from GBMResponseCore import cli
from GBMResponseCore.dicom.network import PASSWORD


@dataclass(frozen=True)
class Hospital:
    """An archive, and files of certificates: of its authority, ours by it, of another authority and ours by that.

    :param url: by which it is reached from outside.
    """

    archive: orthanc.Orthanc
    url: str
    authority: Path
    ours: Path
    other: Path
    stranger: Path


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    for reason in (orthanc.missing(), certificates.missing()):
        if reason:
            pytest.skip(reason)
    folder = tmp_path_factory.mktemp("tls")
    authority, other = (certificates.authority(folder, name) for name in ("authority", "other"))
    server = certificates.certificate(authority, "server", "IP:127.0.0.1")
    ours, stranger = certificates.certificate(authority, "ours"), certificates.certificate(other, "stranger")
    with (
        orthanc.running(folder / "orthanc") as archive,
        certificates.front(server, authority, urlsplit(archive.url).port) as port,
    ):
        yield Hospital(archive, f"https://127.0.0.1:{port}/dicom-web", authority, ours, other, stranger)


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv(PASSWORD, orthanc.PASSWORD)


@pytest.fixture
def export(tmp_path) -> Path:
    write_series(tmp_path / "export", phantoms.head((40, 44, 4), (4.4, 4.0, 9.0)))
    return tmp_path / "export"


def send(hospital, export, *more) -> int:
    words = ("dicom", "send", export, "--url", hospital.url, "--user", orthanc.USER, *more)
    return cli.main([str(word) for word in words])


def test_a_study_goes_and_comes_by_https_with_a_certificate_of_ours(hospital, export, tmp_path):
    access = ("--ca", hospital.authority, "--certificate", hospital.ours)
    assert send(hospital, export, *access) == 0
    study = pydicom.dcmread(next(export.iterdir())).StudyInstanceUID
    words = ("dicom", "fetch", "--url", hospital.url, "--user", orthanc.USER, "--study", study, *access)
    assert cli.main([str(word) for word in (*words, "--out", tmp_path / "in")]) == 0
    sent, back = (
        {pydicom.dcmread(path).SOPInstanceUID for path in folder.rglob("*") if path.is_file()}
        for folder in (export, tmp_path / "in")
    )
    assert sent == back != set()


@pytest.mark.parametrize("other", [False, True], ids=["the systems authorities", "another authority"])
def test_a_server_that_nobody_we_trust_vouches_for_gets_nothing(hospital, export, capsys, other):
    before = hospital.archive.ask("/instances")
    more = ("--ca", hospital.other) if other else ()
    assert send(hospital, export, "--certificate", hospital.ours, *more) == 54
    said = capsys.readouterr().err
    assert "certificate of the server is not trusted" in said and "--ca" in said
    assert hospital.archive.ask("/instances") == before


def test_a_certificate_for_another_name_is_not_trusted(hospital, export, capsys):
    words = ("--ca", hospital.authority, "--certificate", hospital.ours)
    words += ("--url", hospital.url.replace("127.0.0.1", "localhost"))
    assert send(hospital, export, *words) == 54
    assert "certificate of the server is not trusted" in capsys.readouterr().err


@pytest.mark.parametrize("certificate", [None, "stranger"])
def test_without_a_certificate_that_the_server_trusts_nobody_is_let_in(hospital, export, capsys, certificate):
    before = hospital.archive.ask("/instances")
    more = ("--certificate", getattr(hospital, certificate)) if certificate else ()
    assert send(hospital, export, "--ca", hospital.authority, "--tries", 1, *more) == 54
    assert "--certificate" in capsys.readouterr().err
    assert hospital.archive.ask("/instances") == before


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_authority_that_was_named_counts_not_that_of_the_environment(hospital, export, monkeypatch, variable):
    monkeypatch.setenv(variable, str(hospital.other))
    assert send(hospital, export, "--ca", hospital.authority, "--certificate", hospital.ours) == 0
    monkeypatch.setenv(variable, str(hospital.authority))
    assert send(hospital, export, "--ca", hospital.other, "--certificate", hospital.ours) == 54


@pytest.mark.parametrize("option", ["--ca", "--certificate"])
def test_a_file_that_holds_no_certificate_is_refused_before_anything_is_asked(
    hospital, export, tmp_path, capsys, option
):
    (tmp_path / "empty.pem").write_text("none")
    assert send(hospital, export, option, tmp_path / "empty.pem", "--url", "https://127.0.0.1:9") == 12
    assert "empty.pem" in capsys.readouterr().err
    assert send(hospital, export, option, tmp_path / "nowhere.pem") == 10


def test_a_key_with_a_password_is_refused_and_asked_for_nowhere(hospital, export, capsys):
    locked = certificates.locked(hospital.ours, "secret")
    assert send(hospital, export, "--ca", hospital.authority, "--certificate", locked) == 12
    assert "password" in capsys.readouterr().err
