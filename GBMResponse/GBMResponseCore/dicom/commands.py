"""Commands `gbmresponse dicom`: what an export holds, and the way to a DICOMweb server and back."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DicomSeriesError
from ..files import ensure_output_folder, write_bytes
from .case import scanned
from .choice import choose_t1_gd, rank_series, read_structure_sets
from .deidentify import Deidentifier, read_key
from .network import PASSWORD, Server, fetch_study, send_folder
from .rtstruct import DEFAULT_ROI, matches
from .source import Making, to_bytes
from .tree import pydicom_module, scan_tree
from .volume_export import export_volumes

Say = Callable[[str], None]


def add_commands(commands: Any, say: Say) -> None:
    """Add the command and its own commands.

    :param commands: what `add_subparsers` returned.
    :param say: prints a line.
    """
    parser = commands.add_parser("dicom", help="look at DICOM files, fetch them from a server, send results to it")
    inner = parser.add_subparsers(dest="dicom_command", required=True)
    _add(inner, "list", _list, say, "list the series of a folder, with the reason why one is the T1-Gd")
    fetch = _add(inner, "fetch", _fetch, say, "fetch a study; a rerun fetches what is missing", folder=False)
    fetch.add_argument("--study", required=True, help="StudyInstanceUID")
    fetch.add_argument("--modality", nargs="+", default=(), help="for example MR RTSTRUCT SEG; default: all")
    fetch.add_argument("--out", type=Path, required=True, help="folder; gets one for each series")
    send = _add(inner, "send", _send, say, "send the DICOM files of a folder; a rerun sends what is missing")
    for command in (fetch, send):
        command.add_argument("--url", required=True, help="of the DICOMweb service, such as https://pacs/dicom-web")
        command.add_argument("--user", help=f"the password is taken from the environment variable {PASSWORD}")
        command.add_argument(
            "--ca", type=Path, help="certificates that the server's is checked by; default: the system's"
        )
        command.add_argument(
            "--certificate", type=Path, help="our own certificate and its key, if the server wants one"
        )
        command.add_argument("--timeout", type=float, default=60.0, help="seconds for an answer (default: 60)")
        command.add_argument("--tries", type=int, default=5, help="of each request (default: 5)")
    write = _add(inner, "write", _write, say, "write generated volumes as series, as 3D Slicer asks for", folder=False)
    write.add_argument("request", type=Path, help="JSON file; its fields are in docs/dicom.md")
    remove = _add(
        inner, "deidentify", _deidentify, say, "copy the DICOM files of a folder without what identifies the patient"
    )
    remove.add_argument("--out", type=Path, required=True, help="folder of the copies")
    remove.add_argument("--pseudonym-key", type=Path, help="as of predict; default: one for this run alone")
    remove.add_argument("--keep-dates", action="store_true", help="keep dates")


def _add(
    commands: Any, name: str, run: Callable[..., None], say: Say, text: str, folder: bool = True
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text)
    if folder:
        parser.add_argument("folder", type=Path)
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.set_defaults(run=lambda arguments: run(arguments, say), out=None)
    return parser


def _list(arguments: argparse.Namespace, say: Say) -> None:
    tree = scanned(arguments.folder)
    structures, notes = read_structure_sets(path for *_, path in tree.structure_sets)
    drawn_on = frozenset().union(*(item.series for item in structures))
    for found in rank_series(tree.series, drawn_on):
        series = found.series
        spacing = "irregular" if found.spacing is None else " x ".join(f"{mm:.4g}" for mm in found.spacing) + " mm"
        agent = f", contrast agent {series.contrast}" if series.contrast else ""
        say(f"{series}, {series.study_date or 'no date'}, {spacing}{agent}")
        say(f"    {found.sentence()}")
        say(f"    {series.uid}")
    for item in structures:
        names = [f"{roi.name}{' (GTV)' if matches(roi, DEFAULT_ROI) else ''}" for roi in item.rois]
        say(f"{item.modality} {item.path.name}: {', '.join(names) or 'no region'}")
    for note in notes:
        say(note.sentence)
    try:
        say(f"T1-Gd: {choose_t1_gd(tree.series, None, drawn_on).series}")
    except DicomSeriesError as error:
        say(f"{error.message.partition(';')[0]}. {error.remedy}")


def _server(arguments: argparse.Namespace) -> Server:
    return Server(
        arguments.url, arguments.user, arguments.ca, arguments.certificate, arguments.timeout, max(1, arguments.tries)
    )


def _fetch(arguments: argparse.Namespace, say: Say) -> None:
    progress = say if arguments.verbose else _silent
    files = fetch_study(_server(arguments), arguments.study, arguments.out, arguments.modality, progress)
    say(f"{len(files)} objects in {arguments.out}")


def _send(arguments: argparse.Namespace, say: Say) -> None:
    sent, there = send_folder(_server(arguments), arguments.folder, say if arguments.verbose else _silent)
    say(f"{sent} objects sent, {there} were there.")


def _deidentify(arguments: argparse.Namespace, say: Say) -> None:
    tree = scan_tree(arguments.folder)
    making = Making("", "", deidentify=Deidentifier(read_key(arguments.pseudonym_key), arguments.keep_dates).apply)
    files = [item.path for series in tree.series for item in series.slices] + [path for *_, path in tree.structure_sets]
    if not files:
        raise DicomSeriesError("There is no image, RTSTRUCT or SEG in the folder.", "Give the folder of the export.")
    out = ensure_output_folder(arguments.out)
    for number, path in enumerate(dict.fromkeys(files), start=1):
        write_bytes(
            to_bytes(pydicom_module().dcmread(path, force=True), making), out / f"{number:06d}.dcm", durable=False
        )
    say(f"{len(set(files))} objects written to {out}; {len(tree.unreadable)} could not be read.")


def _write(arguments: argparse.Namespace, say: Say) -> None:
    say(f"{len(export_volumes(arguments.request))} objects written.")


def _silent(text: str) -> None:
    """Say nothing."""
