"""Reading of volumes that notices damage and contradictions before a library could pass over them."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import GeometryError, UnreadableFileError
from ..files import check_file
from .geometry import AnatomicalGrid, is_head_size
from .headers import inspect_meta_image, inspect_nrrd
from .nifti import DamagedError, NiftiHeader, header_file, is_nifti, read_nifti, unzipped

_AGREE = 0.25
"""qform and sform agree if no voxel lies further apart than this fraction of a voxel."""
_SFORM_USED = "the sform is used"
_QFORM_USED = "the qform is used, as the other volume lies on it"
_SAME_SPACING = 0.01
"""Relative difference between pixdim and sform from which they contradict each other."""


@dataclass(frozen=True)
class Note:
    """Something the user should know that does not stop a prediction.

    :param code: short constant for programs.
    :param sentence: for people.
    """

    code: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and what its header leaves open.

    :param notes: contradictions in the header, and how they were read.
    :param oriented: whether the header says which way the axes point in the patient.
    :param nifti: the header of a NIfTI file, whose orientation outputs keep.
    :param qform: where the qform puts the voxels, LPS mm, if the image is placed by an sform that disagrees; else None.
    :param values: `key:=value` lines of an NRRD header.
    """

    image: sitk.Image
    notes: list[Note] = field(default_factory=list)
    oriented: bool = True
    nifti: NiftiHeader | None = None
    qform: AnatomicalGrid | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def by_qform(self) -> "Volume | None":
        """The volume where its qform puts it; None if that is no other place."""
        if self.qform is None:
            return None
        notes = [
            Note(note.code, note.sentence.replace(_SFORM_USED, _QFORM_USED)) if note.code == "qform-sform" else note
            for note in self.notes
        ]
        return replace(self, image=self.qform.put_on(self.image), qform=None, notes=notes)


def read_image(path: Path | str, name: str = "image") -> sitk.Image:
    """Read a volume and leave what its header leaves open; see :func:`read_volume` for parameters and errors."""
    return read_volume(path, name).image


def read_volume(path: Path | str, name: str = "image") -> Volume:
    """Read a NIfTI, Analyze, NRRD or MetaImage volume, whatever its name ends with.

    :param name: what the file is, for messages. They name the file without its folder, which may identify a patient.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    :raises GeometryError: the header does not say how large a voxel is.
    :raises ImageDimensionError, ColorImageError: by the header.
    """
    path = check_file(path, name)
    try:
        start = next(unzipped(header_file(path)), b"")
        if is_nifti(start):
            return _placed(name, path, *read_nifti(path, name))
        if start.startswith(b"NRRD"):
            header, library = inspect_nrrd(path, name), "NrrdImageIO"
        elif b"ElementDataFile" in start:
            header, library = inspect_meta_image(path, name), "MetaImageIO"
        else:
            raise _not_a_volume(path, name, start)
    except DamagedError:
        raise UnreadableFileError(f"The {name} file {path.name} is cut off or damaged.", "Copy it again.") from None
    except OSError as error:
        message = f"The {name} file {path.name} cannot be read ({error.strerror or type(error).__name__})."
        raise UnreadableFileError(message, "Check the disk and the permissions.") from None
    image = _read_with_itk(path, name, library)
    notes = [] if header.oriented else [_unoriented(name, "its first axis to run to the left, its second to the back")]
    return Volume(image, notes, header.oriented, values=header.values)


def scalar(image: sitk.Image) -> sitk.Image:
    """An image of vectors with one component as an image of numbers; any other image unchanged."""
    vectors = "vector" in image.GetPixelIDTypeAsString()
    return sitk.VectorIndexSelectionCast(image, 0) if vectors and image.GetNumberOfComponentsPerPixel() == 1 else image


def _not_a_volume(path: Path, name: str, start: bytes) -> UnreadableFileError:
    if start[128:132] == b"DICM":
        message = f"The {name} file {path.name} is a DICOM file."
        return UnreadableFileError(message, "Load the series in 3D Slicer and save it as NRRD or NIfTI.")
    return UnreadableFileError(f"The {name} file {path.name} is not a NIfTI, NRRD or MetaImage volume.")


def _read_with_itk(path: Path, name: str, library: str) -> sitk.Image:
    """:raises UnreadableFileError, GeometryError: ITK cannot read it, or its grid is none."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(library)
    reader.SetFileName(str(path))
    try:
        image = scalar(reader.Execute())
    except RuntimeError:
        raise UnreadableFileError(f"The {name} file {path.name} cannot be read.") from None
    if image.GetDimension() < 3:
        return image
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))[:3, :3]
    grid = AnatomicalGrid(np.array(image.GetOrigin()[:3]), np.array(image.GetSpacing()[:3]), direction)
    if not min(grid.spacing) > 0:
        raise GeometryError(f"The voxels of the {name} have no size.")
    straight = grid.straightened(image.GetSize()[:3])
    if straight is None:
        raise _sheared(path, name)
    return image if straight is grid else straight.put_on(image)


def _sheared(path: Path, name: str) -> UnreadableFileError:
    message = f"The {name} file {path.name} has sheared axes."
    return UnreadableFileError(message, "Resample it to a regular grid, or convert the DICOM again.")


def _unoriented(name: str, assumed: str) -> Note:
    sentence = f"The header of the {name} does not say which way its axes point: orientation unknown. "
    return Note("orientation-unknown", f"{sentence}It was taken for {assumed}; left and right may be exchanged.")


def _placed(name: str, path: Path, header: NiftiHeader, voxels: np.ndarray) -> Volume:
    """The voxels of a NIfTI file as an image, where its header puts them."""
    if voxels.ndim < 3:
        voxels = voxels.reshape((1,) * (3 - voxels.ndim) + voxels.shape)
    elif voxels.ndim > 3:
        voxels = voxels.reshape((math.prod(voxels.shape[:-3]), *voxels.shape[-3:]))
    image = sitk.GetImageFromArray(voxels, isVector=False)
    size = image.GetSize()[:3]
    notes: list[Note] = []
    grid, qform = _choose_form(name, path, header, size, notes)
    oriented = grid is not None
    if grid is None:
        grid = header.centered()
        if grid is None:
            raise GeometryError(f"The voxels of the {name} have no size: a spacing in its header is 0.")
        notes.append(_unoriented(name, "its axes to run to the left, to the front and up"))
    unit = _unit(name, header, grid, size, notes)
    qform = None if qform is None else qform.scaled(unit)
    return Volume(grid.scaled(unit).put_on(image), notes, oriented, header, qform)


def _choose_form(
    name: str, path: Path, header: NiftiHeader, size: tuple[int, int, int], notes: list[Note]
) -> tuple[AnatomicalGrid | None, AnatomicalGrid | None]:
    """The grid to use, None if the header has none; and that of the qform, if the sform is used and disagrees.

    The sform comes first, as for nibabel and ITK; a sheared one is passed over.

    :raises UnreadableFileError: a form in force has numbers that are none, or only a sheared one is left.
    """
    if not header.finite():
        message = f"The header of the {name} file {path.name} is damaged: its orientation has numbers that are none."
        raise UnreadableFileError(message, "Convert the DICOM again.")
    q, given = header.qform(), header.sform()
    s = given.straightened(size) if given else None
    if s and q:
        distance = s.distance(q, size)
        if distance <= _AGREE * min(q.spacing):
            return s if s is given else q, None
        sentence = f"qform and sform of the {name} disagree by {distance * header.unit:.3g} mm; {_SFORM_USED}."
        notes.append(Note("qform-sform", sentence))
        return s, q
    if q:
        if header.sform_code > 0:
            why = "has sheared axes" if given else "has no volume"
            notes.append(Note("qform-sform", f"The sform of the {name} {why}; the qform is used."))
        return q, None
    if s and not np.allclose(np.abs(header.pixdim[1:4]), s.spacing, rtol=_SAME_SPACING):
        wrong, right = (" x ".join(f"{v:.4g}" for v in values) for values in (header.pixdim[1:4], s.spacing))
        sentence = f"The spacing in the header of the {name} is {wrong}, that of its sform {right}, which is used."
        notes.append(Note("spacing", sentence))
    if given and not s:
        raise _sheared(path, name)
    return s, None


def _unit(name: str, header: NiftiHeader, grid: AnatomicalGrid, size: tuple[int, int, int], notes: list[Note]) -> float:
    """Millimeters in the header's unit of length: 1 if a head can have this size in mm but not in the unit it names."""
    declared, extent = header.unit, grid.extent(size)
    if declared == 1 or is_head_size(extent * declared) or not is_head_size(extent):
        return declared
    unit, length = "meter" if declared > 1 else "micron", max(extent) * declared
    sentence = f"The header of the {name} says {unit}, which makes it {length:.3g} mm long; it was read as mm."
    notes.append(Note("unit", sentence))
    return 1.0


def sha256_of_image(image: sitk.Image) -> str:
    """SHA-256 of voxels and geometry, whatever file and compression they came in; 64 hexadecimal digits."""
    geometry = (image.GetPixelIDValue(), image.GetNumberOfComponentsPerPixel(), image.GetSize(), image.GetSpacing())
    digest = hashlib.sha256(repr((*geometry, image.GetOrigin(), image.GetDirection())).encode())
    digest.update(sitk.GetArrayViewFromImage(image))
    return digest.hexdigest()
