"""NIfTI-1, NIfTI-2 and Analyze 7.5, read by the standard from the bytes of the file, whatever its name says.

A library that reads a contradictory header chooses in silence, and libraries choose differently: here both orientations
of a header are told apart, and the caller decides. Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working
Group (https://nifti.nimh.nih.gov); where the standard is silent, what ITK does.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ColorImageError, UnreadableFileError
from .geometry import LPS, AnatomicalGrid

_BLOCK = 1 << 16
_TYPES = {
    **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 32: "c8", 64: "f8"},
    **{256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8", 1792: "c16"},
}
_COLORS = (128, 2304)
_MM = {1: 1000.0, 3: 0.001}
"""The units of xyzt_units that are not mm: meter and micron."""


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI or Analyze header says; millimeters only where `unit` is 1.

    :param version: 1, 2, or 0 for Analyze 7.5.
    :param order: byte order, `<` or `>`.
    :param size: voxels along each axis, 1 to 7 of them.
    :param pixdim: eight numbers; the first is qfac.
    :param unit: mm in one unit of length.
    :param quaternion, offset: of the qform.
    :param rows: the three rows of the sform, twelve numbers.
    """

    version: int
    order: str
    size: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    data_offset: int
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, float, float]
    offset: tuple[float, float, float]
    rows: tuple[float, ...]
    in_one_file: bool

    @property
    def unit(self) -> float:
        return _MM.get(self.units & 7, 1.0)

    @property
    def bytes_of_data(self) -> int:
        return math.prod(self.size) * np.dtype(_TYPES[self.datatype]).itemsize

    def finite(self) -> bool:
        """Whether all numbers of the forms in force are numbers."""
        q = self.qform_code <= 0 or _finite(self._steps(), self.quaternion, self.offset)
        return q and (self.sform_code <= 0 or _finite(self.rows))

    def qform(self) -> AnatomicalGrid | None:
        """Grid of the qform in the header's unit; None if the code is 0 or a voxel has no size."""
        steps = np.abs(self._steps())
        if self.qform_code <= 0 or min(steps) <= 0:
            return None
        matrix = _rotation(self.quaternion)
        if self.pixdim[0] < 0:
            matrix[:, 2] *= -1
        # Single precision, as ITK has it: grids of files that other programs wrote stay the same bit for bit.
        columns = (matrix * steps).astype(np.float32).astype(np.float64)
        return AnatomicalGrid(LPS * self.offset, steps, LPS[:, None] * (columns / np.linalg.norm(columns, axis=0)))

    def sform(self) -> AnatomicalGrid | None:
        """Grid of the sform in the header's unit, perhaps sheared; None if the code is 0 or it has no volume."""
        grid = AnatomicalGrid.of_ras(np.reshape(self.rows, (3, 4))) if self.sform_code > 0 else None
        given = np.abs(self._steps())
        return replace(grid, spacing=given) if grid and np.allclose(given, grid.spacing, 1e-4) else grid

    def centered(self) -> AnatomicalGrid | None:
        """Grid of a header without orientation, as nibabel and FSL assume it: x to the left, y forward, z up.

        :returns: None if a voxel has no size.
        """
        steps = np.abs(self._steps())
        if not _finite(steps) or min(steps) <= 0:
            return None
        direction = np.diag([1.0, -1.0, 1.0])
        middle = (np.array([*self.size, 1, 1][:3]) - 1) / 2
        return AnatomicalGrid(-direction @ (middle * steps), steps, direction)

    def _steps(self) -> np.ndarray:
        """Spacing of the first three axes; an axis that the image does not have counts as 1."""
        steps = np.array(self.pixdim[1:4])
        steps[len(self.size) :] = 1.0
        return steps


def is_nifti(start: bytes) -> bool:
    """Whether the first bytes of a file, unzipped, are those of a NIfTI or Analyze header."""
    return len(start) >= 4 and any(struct.unpack_from(order + "i", start)[0] in (348, 540) for order in "<>")


def read_nifti(path: Path, name: str) -> tuple[NiftiHeader, np.ndarray]:
    """Read a file, or a pair of header and data file, zipped or not.

    :param name: what the file is, for messages.
    :return: the header, and the voxels with the axes in reverse order; scaled values are float32, or float64 if they
        are stored so.
    :raises UnreadableFileError, ColorImageError: by the file.
    """
    try:
        header = _read_header(path)
        _check_type(header, path, name)
        buffer = _read_data(header, path, name)
    except DamagedError as error:
        message = f"The {name} file {path.name} is cut off or damaged{error}."
        raise UnreadableFileError(message, "Export or copy it again.") from None
    raw = np.dtype(header.order + _TYPES[header.datatype])
    stored = np.frombuffer(buffer, raw, math.prod(header.size), header.data_offset)
    return header, _scaled(header, stored).reshape(header.size[::-1])


def restore_nifti_orientation(path: Path, header: NiftiHeader | None) -> None:
    """Give a written NIfTI-1 file the qform, the sform, both codes and the unit of another header, unrounded.

    pixdim is kept too, unless it contradicts the orientation that is in force.

    :param path: `.nii`, which is changed in place.
    :param header: None takes the file's own orientation away: both codes become 0.
    :raises OSError: the file cannot be changed.
    """
    with open(path, "r+b") as file:
        written = file.read(348)
        file.seek(0)
        file.write(written[:252] + bytes(4) + written[256:] if header is None else with_orientation(written, header))


def with_orientation(written: bytes, header: NiftiHeader) -> bytes:
    """A little-endian NIfTI-1 header (348 bytes) with the orientation of another one."""
    result = bytearray(written)
    steps = np.abs(header.pixdim[1:4])
    form = None if header.qform_code > 0 else header.sform()
    if form is not None and not np.allclose(steps, form.spacing, rtol=1e-3):
        steps = form.spacing
    with np.errstate(over="ignore"):  # numbers of a form that is not in force may be any
        result[76:92] = np.array([header.pixdim[0], *steps], "<f4").tobytes()
        result[256:328] = np.array([*header.quaternion, *header.offset, *header.rows], "<f4").tobytes()
    result[123] = header.units & 7 | result[123] & 0x38
    codes = np.clip((header.qform_code, header.sform_code), -32768, 32767)
    struct.pack_into("<2h", result, 252, *codes.tolist())
    return bytes(result)


class DamagedError(Exception):
    """A file does not hold what its header promises; the text says how, if it is known."""


def _finite(*values: ArrayLike) -> bool:
    return all(np.isfinite(value).all() for value in values)


def _rotation(quaternion: tuple[float, float, float]) -> np.ndarray:
    """Rotation matrix (3, 3) of a unit quaternion's last three parts."""
    b, c, d = quaternion
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < 1e-7:
        length = math.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = math.sqrt(rest)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )


def _scaled(header: NiftiHeader, stored: np.ndarray) -> np.ndarray:
    """Voxels in the machine's byte order, with slope and intercept; a slope of 0 or none means unscaled."""
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    slope, intercept = header.slope, header.intercept if math.isfinite(header.intercept) else 0.0
    unscaled = not math.isfinite(slope) or slope == 0 or (slope == 1 and intercept == 0)
    if header.version == 0 or unscaled or native.dtype.kind == "c":
        return native
    result = native.astype(np.float64) * slope + intercept
    return result if native.dtype == np.float64 else result.astype(np.float32)


def _parse(raw: bytes) -> NiftiHeader:
    """:raises DamagedError: it is no complete header, or has nonsensical sizes."""
    order = next((o for o in "<>" if len(raw) >= 4 and struct.unpack_from(o + "i", raw)[0] in (348, 540)), None)
    if order is None:
        raise DamagedError
    length = struct.unpack_from(order + "i", raw)[0]
    if len(raw) < length:
        raise DamagedError

    def get(form: str, offset: int) -> tuple[Any, ...]:
        return struct.unpack_from(order + form, raw, offset)

    if length == 540:
        version, magic = 2, raw[4:8]
        (datatype,), dims, pixdim = get("h", 12), get("8q", 16), get("8d", 104)
        start, slope, intercept = get("q2d", 168)
        units, codes = get("i", 500)[0], get("2i", 344)
        quaternion, offset, rows = get("3d", 352), get("3d", 376), get("12d", 400)
    else:
        magic = raw[344:348]
        version = 1 if magic in (b"n+1\0", b"ni1\0") else 0
        (datatype,), dims, pixdim = get("h", 70), get("8h", 40), get("8f", 76)
        start, slope, intercept = get("3f", 108)
        units, codes = raw[123], get("2h", 252)
        quaternion, offset, rows = get("3f", 256), get("3f", 268), get("12f", 280)
    if version == 0:
        units, codes, quaternion, offset, rows = 0, (0, 0), (0.0,) * 3, (0.0,) * 3, (0.0,) * 12
    if not 1 <= dims[0] <= 7 or min(dims[1 : dims[0] + 1]) < 1:
        raise DamagedError(": its header has impossible sizes")
    if not math.isfinite(start):
        raise DamagedError(": its header is not plausible")
    in_one_file = magic in (b"n+1\0", b"n+2\0")
    if in_one_file and start < length:
        start = length + 4
    size = dims[1 : dims[0] + 1]
    return NiftiHeader(
        version=version,
        order=order,
        size=size,
        datatype=datatype,
        pixdim=pixdim,
        data_offset=max(int(start), 0),
        slope=slope,
        intercept=intercept,
        units=units,
        qform_code=codes[0],
        sform_code=codes[1],
        quaternion=quaternion,
        offset=offset,
        rows=rows,
        in_one_file=in_one_file,
    )


def _check_type(header: NiftiHeader, path: Path, name: str) -> None:
    vector = len(header.size) > 4 and header.size[4] > 1
    if header.datatype in _COLORS or vector:
        raise ColorImageError(f"The {name} has several values in each voxel.")
    if header.datatype not in _TYPES:
        raise UnreadableFileError(f"The {name} file {path.name} has the unknown pixel type {header.datatype}.")


def _read_header(path: Path) -> NiftiHeader:
    raw = bytearray()
    for block in unzipped(header_file(path)):
        raw += block
        if len(raw) >= 540:
            break
    return _parse(bytes(raw))


def _read_data(header: NiftiHeader, path: Path, name: str) -> bytearray:
    """All bytes up to the last voxel; a zipped file is read to its end, where its checksum is."""
    source = header_file(path)
    if not header.in_one_file:
        source = _partner(path, ".img")
        if source == header_file(path):
            raise UnreadableFileError(f"The {name} file {path.name} is a header without data.", "Give both files.")
        if not source.is_file():
            raise UnreadableFileError(
                f"The {name} file {path.name} lacks its data file {source.name}.", "Give both files."
            )
    needed = header.data_offset + header.bytes_of_data
    result = bytearray()
    for block in unzipped(source):
        if len(result) < needed:
            result += block
        elif not is_zipped(source):
            break
    if len(result) < needed:
        raise DamagedError
    return result


def header_file(path: Path) -> Path:
    """The file that holds the header: that of a pair is `.hdr`, whichever half is named."""
    return _partner(path, ".hdr")


def _partner(path: Path, suffix: str) -> Path:
    """The header or the data file of a pair; any other path is returned as it is."""
    for ending in (".hdr", ".img", ".hdr.gz", ".img.gz"):
        if path.name.lower().endswith(ending):
            stem = path.name[: -len(ending)]
            wanted = [s for s in (suffix, suffix.upper(), suffix + ".gz") if (path.parent / (stem + s)).is_file()]
            return path.with_name(stem + (wanted or [suffix])[0])
    return path


def is_zipped(path: Path) -> bool:
    """Whether a file starts as gzip does."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def unzipped(path: Path) -> Iterator[bytes]:
    """The content of a file in blocks, unzipped if it is gzip; bytes after the last gzip stream are passed over.

    :raises DamagedError: the gzip stream is cut off or its checksum is wrong.
    """
    with open(path, "rb") as file:
        block = file.read(_BLOCK)
        if block[:2] != b"\x1f\x8b":
            while block:
                yield block
                block = file.read(_BLOCK)
            return
        while block[:2] == b"\x1f\x8b":
            stream = zlib.decompressobj(31)
            while not stream.eof:
                if not block:
                    raise DamagedError
                try:
                    yield stream.decompress(block)
                except zlib.error as error:
                    raise DamagedError from error
                block = file.read(_BLOCK) if not stream.eof else stream.unused_data
            if len(block) < 2:
                block += file.read(_BLOCK)
