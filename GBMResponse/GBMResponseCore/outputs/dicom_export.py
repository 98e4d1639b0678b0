"""What a run writes as DICOM: images, maps, the predicted enhancement and the report, back into the input's study."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw

from ..dicom.deidentify import Deidentifier, read_key
from ..dicom.derived import document, likely_region, parametric_map, segmentation
from ..dicom.mr_series import mr_series
from ..dicom.source import FIRST_SERIES_NUMBER, Making, Source, read_source
from ..dicom.structures_writer import REGION, structure_set
from ..errors import OptionError
from ..files import ensure_output_folder, write_bytes
from ..inputs.case import Case
from ..inputs.resampling import image_like
from ..request import PredictionRequest
from .montage import wrapped
from .picture import stamped, text_font

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..prediction import Prediction

FOLDER = "dicom"
_PAGE = (1240, 1754)
"""A4 at 150 dots per inch."""
_PER_CLASS = 20
"""Series numbers that a class may take."""


def check_export(request: PredictionRequest, case: Case) -> None:
    """Check before anything is computed that the results can be written as DICOM, if that is asked for.

    :raises OptionError: the image is no DICOM series, or options do not go together.
    :raises DicomSeriesError: its headers lack what new objects need.
    :raises MissingPackageError: without the packages.
    """
    if not request.dicom_out:
        return
    if case.origin is None:
        message = "DICOM can be written only for an image that was read from DICOM: it gives patient and study."
        raise OptionError(message, "Give the folder of its series with --dicom, or leave out --dicom-out.")
    from ..dicom.segmentation import highdicom_module

    highdicom_module()
    read_source(case.origin.series)
    if request.deidentify:
        read_key(request.pseudonym_key)


@dataclass(frozen=True, eq=False)
class DicomExport:
    """The objects of one class.

    :param volumes: of the prediction, by name; see :func:`..volumes.volumes_of`.
    :param withheld: why volumes of enhancement are not shown; then no region is written.
    :param class_name: of several, else empty.
    :param lines: text of the report.
    """

    source: Source
    making: Making
    prediction: "Prediction"
    volumes: dict[str, sitk.Image]
    withheld: str
    class_name: str
    number: int
    lines: Sequence[str]
    burn_in: bool = False

    @cached_property
    def region(self) -> sitk.Image | None:
        """Voxels that enhance in at least half of the samples; None if that is not known, withheld or nowhere."""
        chances = self.volumes.get("enhancement_probability")
        return None if chances is None or self.withheld else likely_region(chances)

    def names(self) -> list[str]:
        """Names of all files, below the folder of the class, which are known before they are made."""
        return [f"{FOLDER}/{name}" for name in self._plan]

    def write(self, folder: Path, montage: Path | None) -> dict[str, Path]:
        """Write the files.

        :param montage: picture for the report.
        :return: `dicom`: their folder.
        :raises OutputFolderError: they cannot be written.
        """
        target = ensure_output_folder(folder / FOLDER)
        made = self._made(montage)
        for name in self._plan:
            write_bytes(next(made), target / name, durable=False)
        return {FOLDER: target}

    @cached_property
    def _plan(self) -> list[str]:
        count = len(self.source.slices)
        names = [f"{what}_{place:04d}.dcm" for what in self._images for place in range(1, count + 1)]
        names += [f"{what}.dcm" for what in ("spread", "enhancement_probability") if what in self.volumes]
        names += ["segmentation.dcm", "structures.dcm"] if self.region is not None else []
        return [*names, "report.dcm"]

    @property
    def _images(self) -> dict[str, str]:
        """Volumes that become series -> what they are."""
        images = {"expected": "expected follow-up T1-Gd (average)"}
        return images | ({"predicted": "possible follow-up T1-Gd (sample 1)"} if self.prediction.samples else {})

    def _made(self, montage: Path | None) -> Iterator[bytes]:
        from pydicom.sr.codedict import codes

        source, making, number = self.source, self.making, iter(range(self.number, self.number + _PER_CLASS))
        for name, what in self._images.items():
            image = burned_in(self.volumes[name]) if self.burn_in else self.volumes[name]
            yield from mr_series(source, making, image, self._titled(what), next(number), self.burn_in)
        maps = {"spread": "SD of the samples", "enhancement_probability": "probability of enhancement"}
        for name, what in maps.items():
            if name in self.volumes:
                unit = codes.UCUM.NoUnits
                yield parametric_map(source, making, self.volumes[name], self._titled(what), unit, next(number))
        if self.region is not None:
            what = self._titled("predicted enhancement")
            yield segmentation(source, making, self.region, what, next(number))
            yield structure_set(source, making, {REGION: self.region}, what, next(number))
        yield document(source, making, _pdf(self.lines, montage), self._titled("report"), next(number))

    def _titled(self, what: str) -> str:
        return f"{what}, class {self.class_name}" if self.class_name else what


def burned_in(image: sitk.Image) -> sitk.Image:
    """A copy with the word SYNTHETIC in the corner of every slice: black and the volume's brightest value."""
    voxels = sitk.GetArrayFromImage(image)
    gray = np.full(voxels.shape[1:], 128, np.uint8)
    mark = stamped(gray)
    where = mark != gray
    low, high = float(voxels.min()), float(voxels.max())
    voxels[:, where] = (low + mark[where] / 255.0 * (high - low)).astype(voxels.dtype)
    return image_like(image, voxels)


def making_of(request: PredictionRequest, bundle: "Bundle") -> Making:
    """What the objects of a run say of how they were made; all of them are de-identified alike.

    :raises GBMResponseError: by the file of the key.
    """
    change = None
    if request.deidentify:
        change = Deidentifier(read_key(request.pseudonym_key), request.keep_dates, request.uid_root).apply
    return Making(f"{bundle.name} {bundle.version}", bundle.sha256, request.uid_root, change)


def first_number(place: int) -> int:
    """Number of the first series of the class at a place of a run."""
    return FIRST_SERIES_NUMBER + 1 + place * _PER_CLASS


def _pdf(lines: Sequence[str], montage: Path | None) -> bytes:
    """Pages of text, and a page with the picture."""
    pages, font, margin, height = [], text_font(22), 80, 32
    lines = [line.replace("²", "2") for line in lines]  # which the font does not have
    rows = [part for line in lines for part in wrapped(line, font, _PAGE[0] - 2 * margin).split("\n")]
    per_page = (_PAGE[1] - 2 * margin) // height
    for start in range(0, len(rows), per_page):
        page = Image.new("RGB", _PAGE, "white")
        draw = ImageDraw.Draw(page)
        for place, row in enumerate(rows[start : start + per_page]):
            draw.text((margin, margin + place * height), row, (0, 0, 0), font)
        pages.append(page)
    if montage is not None:
        with Image.open(montage) as picture:
            pages.append(picture.convert("RGB"))
    buffer = io.BytesIO()
    pages[0].save(buffer, "PDF", resolution=150, save_all=True, append_images=pages[1:], title="SYNTHETIC")
    return buffer.getvalue()
