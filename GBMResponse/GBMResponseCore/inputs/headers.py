"""NRRD and MetaImage headers, inspected as text before ITK reads the file.

ITK trusts these headers: an overlong line ends the process, and a header may name any file of the machine as its data.
Formats: https://teem.sourceforge.net/nrrd/format.html, https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ColorImageError, ImageDimensionError, UnreadableFileError

_LONGEST_HEADER = 1 << 20
_LONGEST_FIELD = 512
"""Characters of a field; values of NRRD's `key:=value` lines may be longer."""
_MOST_AXES = 5
_MOST_DATA_FILES = 4096
_DEFLATE = 1100
"""Deflate makes data at most this many times smaller; bzip2 has no such bound."""
_DAMAGED = "Export or copy it again."
_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
}
_META_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR", "MET_ASCII_CHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_LONG", "MET_ULONG", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
_NRRD_FIELDS = {"content", "number", "type", "blocksize", "dimension", "space", "spacedimension", "sizes", "spacings"}
_NRRD_FIELDS |= {"thicknesses", "axismins", "axismaxs", "spacedirections", "centers", "centerings", "kinds", "labels"}
_NRRD_FIELDS |= {"units", "min", "max", "oldmin", "oldmax", "endian", "encoding", "lineskip", "byteskip", "sampleunits"}
_NRRD_FIELDS |= {"spaceunits", "spaceorigin", "measurementframe", "datafile"}
_SPACES = {"right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "scanner-xyz"}
_SPACES |= {"ras", "las", "lps", "3d-right-handed", "3d-left-handed", "right-anterior-superior-time"}
_SPACES |= {"left-anterior-superior-time", "left-posterior-superior-time", "rast", "last", "lpst"}
_ORIENTED = {"right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps"}


@dataclass(frozen=True)
class TextHeader:
    """What the header of an NRRD or MetaImage file says.

    :param oriented: whether it says which way the axes point in the patient.
    :param size: voxels along each axis.
    :param values: further `key:=value` lines of an NRRD header, as the segments of a `.seg.nrrd`.
    """

    oriented: bool
    size: tuple[int, ...]
    values: Mapping[str, str] = field(default_factory=dict)


def inspect_nrrd(path: Path, name: str) -> TextHeader:
    """Check an NRRD header and that its data are there.

    :param name: what the file is, for messages.
    :raises UnreadableFileError, ImageDimensionError, ColorImageError: by the header.
    """
    check = _Check(path, name)
    start = check.start()
    blank = re.search(rb"\r?\n\r?\n", start)
    end = blank.end() if blank else len(start)
    fields, values = {}, {}
    for line in start[:end].decode("utf-8", "replace").splitlines()[1:]:
        key, separator, value = line.partition(":")
        if value.startswith("=") and not line.startswith("#"):
            values[key] = value[1:]
            continue
        check.line(line)
        if separator and not line.startswith("#"):
            name_of_field = key.strip().lower()
            if name_of_field.replace(" ", "") not in _NRRD_FIELDS:
                check.fail("its header has an unknown field")
            fields[name_of_field] = value.strip()
        elif line.strip() and not line.startswith("#") and "data file" not in fields and "datafile" not in fields:
            check.fail("its header has a line without ':'")
    size = check.whole_numbers("sizes", fields.get("sizes", ""))
    if check.whole_numbers("dimension", fields.get("dimension", "")) != (len(size),):
        check.fail("its dimension does not fit its sizes")
    check.axes(size)
    if fields.get("type", "").lower() not in _NRRD_BYTES:
        check.fail("its type is unknown")
    for key in ("space directions", "space origin", "spacings", "thicknesses", "axis mins", "axis maxs"):
        check.finite(key, fields.get(key, ""), allow_nan=key in ("spacings", "thicknesses", "axis mins", "axis maxs"))
    space = fields.get("space", "").lower()
    if space and space not in _SPACES:
        check.fail("its space is unknown")
    if len(fields.get("kinds", "").split()) > len(size):
        check.fail("its kinds do not fit its sizes")
    count = math.prod(size) * _NRRD_BYTES[fields["type"].lower()]
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz", "bzip2", "bz2", "ascii", "text", "txt", "hex"):
        check.fail("its encoding is unknown")
    data = fields.get("data file", fields.get("datafile"))
    skipped = _number(fields.get("byte skip", fields.get("byteskip", "0")))
    if data is None:
        check.enough(path.stat().st_size - end, count, packed=encoding)
    else:
        sources = check.beside(data, start[end:].decode("utf-8", "replace").splitlines())
        check.enough(sum(s.stat().st_size for s in sources) - max(skipped, 0), count, packed=encoding)
    return TextHeader(space in _ORIENTED, size, values)


def inspect_meta_image(path: Path, name: str) -> TextHeader:
    """Check a MetaImage header and that its data are there.

    :param name: what the file is, for messages.
    :raises UnreadableFileError, ImageDimensionError, ColorImageError: by the header.
    """
    check = _Check(path, name)
    start = check.start()
    fields: dict[str, str] = {}
    end = 0
    for match in re.finditer(rb"([^\n]*)\n", start):
        line = match[1].decode("utf-8", "replace").strip("\r")
        end = match.end()
        check.line(line)
        key, separator, value = line.partition("=")
        if not separator and line.strip():
            check.fail("its header has a line without '='")
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    data = fields.get("ElementDataFile")
    if not data:
        check.fail("its header does not name its data")
    size = check.whole_numbers("DimSize", fields.get("DimSize", ""))
    if check.whole_numbers("NDims", fields.get("NDims", "")) != (len(size),):
        check.fail("its NDims does not fit its DimSize")
    check.axes(size)
    axes = len(size)
    lengths = {"ElementSpacing": axes, "ElementSize": axes, "Offset": axes, "Origin": axes, "Position": axes}
    lengths |= {"TransformMatrix": axes**2, "Orientation": axes**2, "Rotation": axes**2, "CenterOfRotation": axes}
    for key, length in lengths.items():
        if key in fields and check.finite(key, fields[key]) != length:
            check.fail(f"its {key} has not {length} numbers")
    channels = check.whole_numbers("ElementNumberOfChannels", fields.get("ElementNumberOfChannels", "1"))[0]
    if channels > 1:
        raise ColorImageError(f"The {name} has several values in each voxel.")
    element = fields.get("ElementType", "").removesuffix("_ARRAY")
    if element not in _META_BYTES:
        check.fail("its ElementType is unknown")
    count = math.prod(size) * _META_BYTES[element]
    packed = "gzip" if (fields.get("CompressedData") or "").lower() in ("true", "1") else "raw"
    if (data or "").upper() == "LOCAL":
        check.enough(path.stat().st_size - end, count, packed=packed)
    else:
        listed = start[end:].decode("utf-8", "replace").splitlines()
        skipped = max(_number(fields.get("HeaderSize", "0")), 0)
        check.enough(sum(s.stat().st_size for s in check.beside(data or "", listed)) - skipped, count, packed=packed)
    return TextHeader(fields.get("AnatomicalOrientation", "") != "???", size)


def forget_orientation(path: Path) -> None:
    """Take the claim of an orientation out of the header of an NRRD or MetaImage file that ITK wrote.

    :raises OSError: the file cannot be changed.
    """
    head, separator, data = path.read_bytes().partition(b"\n\n" if path.suffix == ".nrrd" else b"ElementDataFile")
    head = re.sub(rb"(?m)^space: .*$", b"space dimension: 3", head)
    head = re.sub(rb"(?m)^AnatomicalOrientation = .*$", b"AnatomicalOrientation = ???", head)
    path.write_bytes(head + separator + data)


class _Check:
    """Refuses one file, by its name without its folder."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def fail(self, why: str, remedy: str = _DAMAGED) -> None:
        """:raises UnreadableFileError: always."""
        raise UnreadableFileError(f"The {self._name} file {self._path.name} is damaged: {why}.", remedy)

    def start(self) -> bytes:
        with open(self._path, "rb") as file:
            return file.read(_LONGEST_HEADER)

    def line(self, line: str) -> None:
        if len(line) > _LONGEST_FIELD:
            self.fail(f"its header has a line of {len(line)} characters")

    def whole_numbers(self, key: str, text: str) -> tuple[int, ...]:
        if not re.fullmatch(r"\s*\d{1,9}(\s+\d{1,9})*\s*", text):
            self.fail(f"its header has no usable {key}")
        return tuple(map(int, text.split()))

    def axes(self, size: tuple[int, ...]) -> None:
        if min(size) < 1:
            self.fail("one of its sizes is 0")
        if len(size) > _MOST_AXES:
            raise ImageDimensionError(f"The {self._name} has {len(size)} dimensions.")

    def finite(self, key: str, text: str, *, allow_nan: bool = False) -> int:
        """Number of the numbers in a field; parentheses, commas and `none` are NRRD's.

        :raises UnreadableFileError: one is no number, or not finite.
        """
        words = re.sub(r"[(),]", " ", text).split()
        for word in words:
            try:
                value = float(word) if word.lower() != "none" else 0.0
            except ValueError:
                value = math.inf
            if math.isinf(value) or abs(value) > 1e9 or (math.isnan(value) and not allow_nan):
                self.fail(f"its {key} has no usable numbers")
        return len(words)

    def enough(self, present: int, needed: int, packed: str) -> None:
        """:raises UnreadableFileError: the data cannot be complete."""
        if packed.startswith("gz"):
            present *= _DEFLATE
        if packed in ("raw", "gzip", "gz") and present < needed:
            message = f"The {self._name} file {self._path.name} is cut off or damaged."
            raise UnreadableFileError(message, _DAMAGED)

    def beside(self, data: str, following: list[str]) -> list[Path]:
        """The data files that a header names; they must lie in its folder.

        :param following: the lines after the field, which may list the files.
        :raises UnreadableFileError: one lies elsewhere or does not exist.
        """
        words = data.split()
        if not words:
            self.fail("it names no data file")
        if words[0].upper() == "LIST":
            names = [line.strip() for line in following if line.strip()]
        elif "%" in words[0] and len(words) >= 3:
            numbers = self.whole_numbers("numbers of the data files", " ".join(words[1:4]))
            if len(numbers) not in (2, 3) or not re.fullmatch(r"[^%]*%0?\d?d[^%]*", words[0]):
                self.fail("it names its data files in a way that is not supported")
            step = numbers[2] if len(numbers) == 3 else 1
            counted = range(numbers[0], numbers[1] + 1, max(step, 1))
            if len(counted) > _MOST_DATA_FILES:
                self.fail(f"it names {len(counted)} data files")
            names = [words[0] % number for number in counted]
        else:
            names = [data]
        for entry in names:
            if Path(entry).name != entry or re.search(r"[\\/:\0]", entry) or len(entry) > _LONGEST_FIELD:
                self.fail("it names data outside its own folder", "Keep header and data in one folder.")
            if not (self._path.parent / entry).is_file():
                message = f"The {self._name} file {self._path.name} lacks its data file {entry}."
                raise UnreadableFileError(message, "Keep header and data in one folder.")
        return [self._path.parent / entry for entry in names]


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,12}", text) else 0
