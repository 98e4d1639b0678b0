"""Volumes whose headers are written byte by byte, so that they are exactly as wrong as meant.

One made-up head of 64 x 64 x 8 voxels of 1.8 x 1.8 x 5 mm with a drawn GTV, a disc of 10 mm around voxel (22, 42) in
slices 3 and 4: 97 voxels each, 3.143 ml. Arrays have the axes x, y, z; affines are RAS, as in NIfTI.
"""

import gzip
import struct
from pathlib import Path

import numpy as np

SHAPE, SPACING, CENTER = (64, 64, 8), (1.8, 1.8, 5.0), (22, 42)
GTV_ML = 97 * 2 * 1.8 * 1.8 * 5 / 1000
_TYPES = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16, "float64": 64, "int8": 256, "uint16": 512}


def head(seed: int = 0) -> np.ndarray:
    """Head with scalp, skull, ventricles and an enhancing ring, air 0, whole numbers up to about 1000."""
    x, y, z = [(n - (size - 1) / 2) * mm for n, size, mm in zip(np.indices(SHAPE), SHAPE, SPACING, strict=True)]
    r = np.sqrt((x / 50) ** 2 + (y / 56) ** 2 + (z / 60) ** 2)
    v = np.where(r < 1, 500.0, 0) + np.where((r < 1) & (r > 0.93), 450, 0) - np.where((r < 0.93) & (r > 0.85), 350, 0)
    v += np.where((x / 7) ** 2 + ((y + 4) / 18) ** 2 < 1, -220, 0) * (r < 0.8)
    v += 60 * np.sin(x / 6) * np.cos(y / 7) * (r < 0.85)
    distance = from_center()
    v += np.where((distance < 9) & (distance > 5), 450, 0) * np.isin(np.indices(SHAPE)[2], (3, 4))
    v += np.random.default_rng(seed).normal(0, 4, SHAPE) * (r < 1)
    return np.round(np.clip(v, 0, 1200))


def from_center() -> np.ndarray:
    """Distance in mm of each voxel from the axis of the drawn GTV."""
    x, y, _ = np.indices(SHAPE)
    return np.hypot(x - CENTER[0], y - CENTER[1]) * SPACING[0]


def gtv(slices: tuple[int, ...] = (3, 4), radius_mm: float = 10.0) -> np.ndarray:
    """The drawn GTV, 0 and 1."""
    return ((from_center() < radius_mm) & np.isin(np.arange(SHAPE[2]), slices)).astype(float)


def affine(move: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Affine (4, 4) of the head, x to the left, about the origin; moved by some mm."""
    result = np.diag([-SPACING[0], SPACING[1], SPACING[2], 1.0])
    result[:3, 3] = [-result[n, n] * (SHAPE[n] - 1) / 2 + move[n] for n in range(3)]
    return result


def write_nifti(
    path: Path,
    array: np.ndarray,
    dtype: str = "int16",
    *,
    sform: np.ndarray | None = None,
    codes: tuple[int, int] = (1, 1),
    pixdim: tuple[float, float, float] = SPACING,
    scaling: tuple[float, float] = (1.0, 0.0),
    units: int = 2,
    zipped: bool | None = None,
    version: int = 1,
    magic: bytes | None = None,
    order: str = "<",
) -> Path:
    """Write a NIfTI file whose qform is :func:`affine`.

    :param sform: affine (4, 4); None: as the qform.
    :param codes: of qform and sform.
    :param zipped: None: as the suffix says.
    :param magic: b"ni1" writes a pair, of which `path` is the header; b"" an Analyze pair.
    """
    rows, offset = (affine() if sform is None else sform)[:3].ravel(), affine()[:3, 3]
    size = (array.ndim, *array.shape, *[1] * (7 - array.ndim))
    bits = np.dtype(dtype).itemsize * 8
    pair = magic is not None
    # Half a turn about y and qfac -1 flip x alone.
    quaternion, steps = (0.0, 1.0, 0.0), (-1.0, *pixdim, 0, 0, 0, 0)
    if version == 2:
        header = bytearray(540)
        struct.pack_into(order + "i8s2h", header, 0, 540, b"n+2\0\r\n\x1a\n", _TYPES[dtype], bits)
        struct.pack_into(order + "8q", header, 16, *size)
        struct.pack_into(order + "8d", header, 104, *steps)
        struct.pack_into(order + "q2d", header, 168, 544, *scaling)
        struct.pack_into(order + "2i18d", header, 344, *codes, *quaternion, *offset, *rows)
        struct.pack_into(order + "i", header, 500, units)
    else:
        header = bytearray(348)
        struct.pack_into(order + "i", header, 0, 348)
        struct.pack_into(order + "8h", header, 40, *size)
        struct.pack_into(order + "2h8f", header, 70, _TYPES[dtype], bits, *[0] * 8)
        struct.pack_into(order + "8f3f", header, 76, *steps, 0.0 if pair else 352.0, *scaling)
        header[123] = units
        if magic != b"":
            struct.pack_into(order + "2h18f", header, 252, *codes, *quaternion, *offset, *rows)
            header[344:348] = (magic or b"n+1").ljust(4, b"\0")
    data = array.astype(np.dtype(dtype).newbyteorder(order)).tobytes(order="F")
    if pair:
        path.write_bytes(header)
        path.with_suffix(".img").write_bytes(data)
        return path
    content = bytes(header) + bytes(4) + data
    zipped = path.suffix == ".gz" if zipped is None else zipped
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path
