"""A case from folders of DICOM files: the T1-Gd among their series, and the GTV that was drawn on it."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from ..errors import DicomSeriesError, StructureSetError
from ..files import check_file
from ..inputs import case as inputs
from ..inputs.case import Case
from ..inputs.gtv import select_labels
from ..inputs.reading import Note, read_volume, sha256_of_image
from .choice import choose_gtv, choose_t1_gd, note_of_choice, read_structure_sets, series_drawn_on
from .rtstruct import DEFAULT_ROI, StructureSet, draw_rois
from .series import grid_of, is_inverted, read_series
from .tree import Series, Tree, is_dicom, scan_tree


@dataclass(frozen=True)
class DicomOrigin:
    """Where the image of a case comes from.

    :param series: its slices are those of the image, in any order.
    """

    series: Series


def scanned(folder: Path) -> Tree:
    """The files of an export.

    :raises DicomSeriesError: there is no image.
    """
    tree = scan_tree(folder)
    if not tree.series:
        damaged = f", and {len(tree.unreadable)} files that cannot be read" if tree.unreadable else ""
        raise DicomSeriesError(
            f"There is no DICOM image in the folder{damaged}.", "Give the folder of the export, or a volume's file."
        )
    return tree


def load_case(
    image: Path,
    gtv: Path,
    follow_up: Path | None = None,
    gtv_labels: Sequence[str] = (),
    series: str | None = None,
) -> Case:
    """Read and check a case from files of volumes, or from DICOM if the image is a folder.

    :param image: a volume, or a folder of DICOM files that holds the T1-Gd, also among others.
    :param gtv: a volume; with a folder as image also an RTSTRUCT or a SEG, or a folder that holds some.
    :param follow_up: a volume, or with a folder as image another folder.
    :param gtv_labels: labels or segments of the GTV's volume, or names of its regions; none: all, or by their names.
    :param series: SeriesInstanceUID, number or description of the T1-Gd; None: by what the headers say.
    :return: its `origin` is a :class:`DicomOrigin` if the image is one of DICOM.
    :raises DicomSeriesError: there is no T1-Gd, or more than one could be it.
    :raises StructureSetError: by the RTSTRUCT or SEG.
    :raises FrameOfReferenceError: it was drawn on another image.
    :raises MissingPackageError: without the packages that read DICOM.
    :raises GBMResponseError: as :func:`..inputs.case.load_case`.
    """
    image, gtv = Path(image), Path(gtv)
    if not os.path.isdir(image):  # which no odd name makes fail
        return inputs.load_case(image, gtv, follow_up, gtv_labels or None)
    tree = scanned(image)
    if gtv.is_dir() or (gtv.is_file() and is_dicom(gtv)):
        structures, notes = _structures(gtv, image, tree)
        drawn_on = frozenset().union(*(item.series for item in structures))
        chosen, volume = _read_t1_gd(tree, series, drawn_on, "image", notes)
        mask = _drawn(structures, tree, chosen, volume, gtv_labels, notes)
    else:
        read = read_volume(gtv, "GTV")
        notes = list(read.notes)
        chosen, volume = _read_t1_gd(tree, series, (), "image", notes)
        mask = select_labels(read.image, gtv_labels, read.values, notes) if gtv_labels else read.image
    later = None
    if follow_up is not None:
        later = _follow_up(Path(follow_up), chosen, notes)
    case = inputs.make_case(volume, mask, later)
    images = {"image": volume, "GTV": mask, "follow-up": later}
    sources = {
        name: {"file": "DICOM", "sha256": sha256_of_image(entry)} for name, entry in images.items() if entry is not None
    }
    return replace(case, notes=[*notes, *case.notes], sources=sources, origin=DicomOrigin(chosen))


def _structures(gtv: Path, image: Path, tree: Tree) -> tuple[list[StructureSet], list[Note]]:
    """:raises StructureSetError: there is none, or none that can be read."""
    if gtv.is_file():
        return read_structure_sets([check_file(gtv, "RTSTRUCT")])
    found = tree if gtv.resolve() == image.resolve() else scan_tree(gtv)
    paths = [path for *_, path in found.structure_sets]
    if not paths:
        raise StructureSetError("There is no RTSTRUCT or SEG in the folder.", "Give one, or a mask, with --gtv.")
    return read_structure_sets(paths)


def _read_t1_gd(
    tree: Tree, wanted: str | None, drawn_on: Collection[str], name: str, notes: list[Note]
) -> tuple[Series, sitk.Image]:
    found = choose_t1_gd(tree.series, wanted, drawn_on)
    notes.append(note_of_choice(found, tree.series))
    if is_inverted(found.series):
        notes.append(Note("inverted", f"The values of the {name} are stored inverted; they were turned around."))
    return found.series, read_series(found.series)


def _drawn(
    structures: Sequence[StructureSet],
    tree: Tree,
    chosen: Series,
    volume: sitk.Image,
    names: Sequence[str],
    notes: list[Note],
) -> sitk.Image:
    """The GTV as a mask, on the grid of the series that it was drawn on."""
    structure, rois, found = choose_gtv(structures, chosen, DEFAULT_ROI, names)
    notes += found
    grid = series_drawn_on(structure, chosen, tree)
    names_of_rois = ", ".join(roi.name for roi in rois)
    notes.append(Note("dicom-gtv", f"The GTV is {names_of_rois} of a {structure.modality}, drawn on {grid}."))
    return draw_rois(structure, rois, volume if grid is chosen else grid_of(grid))


def _follow_up(path: Path, chosen: Series, notes: list[Note]) -> sitk.Image:
    """:raises DicomSeriesError: it is the image itself, or there is no T1-Gd."""
    if not path.is_dir():
        read = read_volume(path, "follow-up")
        notes += read.notes
        return read.image
    series, volume = _read_t1_gd(scanned(path), None, (), "follow-up", notes)
    if series.uid == chosen.uid:
        raise DicomSeriesError(
            "The follow-up is the series of the image itself.", "Give the folder of the later study."
        )
    return volume
