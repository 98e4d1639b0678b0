"""Objects without what identifies the patient: what may stay is listed, everything else goes.

The rules are stricter than the Basic Application Level Confidentiality Profile (PS3.15, table E.1-1), whose attributes
are free text, names, dates, UIDs, documents and all of the patient's group: of these kinds nothing stays but codes and
what this software has written itself. Dates stay if they are asked for (Retain Longitudinal Temporal Information). UIDs
and pseudonyms are keyed hashes, so that they are alike in all objects that are made with one key, and tell nothing
without it. Pixels are not looked at: a head can be recognized by its face.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DicomSeriesError, GBMResponseError, OptionError, UnreadableFileError
from ..files import write_bytes
from ..inputs.reading import Note
from .choice import DEFAULT_SERIES, NO_AGENT
from .rtstruct import DEFAULT_ROI, Roi, matches
from .tree import is_synthetic, pydicom_module

_KEY_BYTES = 32
_STANDARD = "1.2.840.10008."
_DATES = ("DA", "DT", "TM")
_TEXT = ("AE", "AS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN")
_BULK = ("OB", "OD", "OF", "OL", "OV", "OW")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")
_CODES = ("CodeValue", "LongCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
_OURS = (
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "SeriesDescription",
    "DerivationDescription", "ContributionDescription", "SegmentLabel", "StructureSetLabel", "StructureSetName",
    "StructureSetDescription", "ROIName", "ROIDescription", "ContentDescription", "LUTLabel", "LUTExplanation",
    "DocumentTitle", "AlgorithmName", "AlgorithmVersion", "MIMETypeOfEncapsulatedDocument", "EncapsulatedDocument",
    "RescaleType",
)  # fmt: skip
"""Text that this software writes into the objects that it makes; nothing of it comes from a header."""
_GROUPS_THAT_GO = (0x0010, 0x0012, 0x0032, 0x0038, 0x4008)
"""Patient, trial, request, visit and interpretation."""
_EMPTY = ("PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDate",
          "StudyTime")  # fmt: skip
_TELLING = {"dicom-series", "dicom-gtv", "several-regions", "empty-region", "older-rtstruct", "damaged-rtstruct"}
"""Notes that quote descriptions and names from headers."""


@dataclass(frozen=True)
class Deidentifier:
    """Removes what identifies a patient.

    :param key: secret with which pseudonyms and UIDs are made.
    :param keep_dates: dates and times stay.
    """

    key: bytes
    keep_dates: bool = False
    uid_root: str = "2.25"

    def pseudonym(self, patient: str) -> str:
        """The name that a patient id gets."""
        return f"P-{self._digest('patient', patient).hex()[:12].upper()}"

    def uid(self, uid: str) -> str:
        """The UID that stands for another; those that the standard defines stay."""
        if not uid or uid.startswith(_STANDARD):
            return uid
        return f"{self.uid_root}.{int.from_bytes(self._digest('uid', uid)[:15], 'big')}"

    def apply(self, dataset: Any) -> None:
        """Change an object in place, with its file meta information.

        :raises DicomSeriesError: the pixels themselves are said to hold text, which may be a name.
        """
        pydicom = pydicom_module()
        ours = is_synthetic(dataset)
        if not ours and str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
            message = "The pixels of an image hold text, which may identify the patient."
            raise DicomSeriesError(message, "Leave the image out, or remove the text before.")
        name = self.pseudonym(str(dataset.get("PatientID") or dataset.get("PatientName") or ""))
        self._clean(dataset, ours)
        dataset.PatientID = dataset.PatientName = name
        for keyword in _EMPTY:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = "GBMResponse: list of what may stay"
        dataset.DeidentificationMethodCodeSequence = [
            _code("113100", "Basic Application Confidentiality Profile"),
            *([_code("113106", "Retain Longitudinal Temporal Information Full Dates Option")] * self.keep_dates),
        ]
        dataset.LongitudinalTemporalInformationModified = "UNMODIFIED" if self.keep_dates else "REMOVED"
        meta = pydicom.dataset.FileMetaDataset()
        written = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
        meta.TransferSyntaxUID = written or pydicom.uid.ImplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        dataset.file_meta = meta
        dataset.preamble = b"\0" * 128

    def _clean(self, dataset: Any, ours: bool) -> None:
        for element in list(dataset):
            if element.tag.group % 2 or element.tag.group in _GROUPS_THAT_GO or 0x5000 <= element.tag.group <= 0x60FF:
                del dataset[element.tag]
            elif element.VR == "SQ":
                for item in element.value:
                    self._clean(item, ours)
            elif element.VR == "UI":
                values = [str(value) for value in (element.value if element.VM > 1 else [element.value or ""])]
                element.value = [self.uid(value) for value in values]
            elif element.VR in _DATES:
                if not self.keep_dates:
                    element.value = ""
            elif element.keyword in _REPLACED and not ours:
                element.value = _replacement(element.keyword, str(element.value), dataset)
            elif (element.VR in _TEXT and element.keyword not in _CODES) or (
                element.VR in _BULK and element.keyword not in _PIXELS
            ):
                if not (ours and element.keyword in _OURS):
                    del dataset[element.tag]

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind} {text}".encode(), hashlib.sha256).digest()


_REPLACED = ("ROIName", "SegmentLabel", "SeriesDescription", "ContrastBolusAgent")
"""Free text that may name people, and that a prediction chooses by: what it needs of them stays."""


def _replacement(keyword: str, text: str, dataset: Any) -> str:
    if keyword in ("ROIName", "SegmentLabel"):
        number = dataset.get("ROINumber" if keyword == "ROIName" else "SegmentNumber")
        return f"{'GTV' if matches(Roi(0, text, ''), DEFAULT_ROI) else 'ROI'}_{number}"
    if keyword == "ContrastBolusAgent":
        return "YES" if text.strip().upper() not in NO_AGENT else "NO"
    return "T1-Gd" if re.search(DEFAULT_SERIES, text, re.IGNORECASE) else "MR"


def read_key(path: Path | None) -> bytes:
    """The secret of pseudonyms: of a file, which is made if there is none; without a file a new one.

    :raises UnreadableFileError, OptionError: the file cannot be read, or is no such key.
    :raises OutputFolderError: it cannot be written.
    """
    if path is None:
        return secrets.token_bytes(_KEY_BYTES)
    if not path.exists():
        key = secrets.token_bytes(_KEY_BYTES)
        write_bytes(key.hex().encode(), path)
        path.chmod(0o600)
        return key
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"The key {path.name} cannot be read ({error.strerror}).") from error
    if not re.fullmatch(rb"[0-9a-f]{64}\s*", text):
        raise OptionError(f"The file {path.name} is no key of pseudonyms.", "Name a file that does not exist yet.")
    return bytes.fromhex(text.decode())


def plain_notes(notes: Iterable[Note]) -> list[Note]:
    """Notes without what they quote from headers."""
    return [
        replace(note, sentence="Chosen from the headers; not said here, as the result is de-identified.")
        if note.code in _TELLING
        else note
        for note in notes
    ]


def plain_error(error: GBMResponseError) -> GBMResponseError:
    """An error of its kind that quotes nothing from headers."""
    message = "The DICOM files cannot be used; the reason would quote their headers."
    return type(error)(message, "Run the command without --deidentify to see it.")


def _code(value: str, meaning: str) -> Any:
    item = pydicom_module().Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
