"""Which series of an export is the T1-Gd, and which structures on it are the GTV, each with the reasons."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DicomSeriesError, FrameOfReferenceError, StructureSetError
from ..inputs.reading import Note
from .rtstruct import Roi, StructureSet, check_frame, choose_rois, matches, read_structure_set
from .series import grid_of
from .tree import Series, Tree

DEFAULT_SERIES = (
    r"^(?=.*(?:t1|mprage|bravo|spgr|vibe|tfe|space))"
    r"(?=.*(?:gd|gado|post|contrast|inject|enhanced|t1c|\+ ?c(?![a-z])|(?<![a-z])(?:km|ce|c\+)(?![a-z])))"
    r"(?!.*(?:without|non.?contrast|pre.?contrast|nativ|ohne|sans|sub))"
)
"""Regular expression of a T1-Gd series' description, in any case."""

NATIVE = r"without|non.?contrast|pre.?contrast|nativ|ohne|sans"
OTHER_WEIGHTING = r"t2|flair|dwi|diff|adc|swi|perf|dsc|asl|tof|angio|loc|scout|survey"
"""What says that an image was made without agent, or is of another kind."""
NO_AGENT = ("", "NO", "NONE", "N", "0", "WITHOUT")
"""What headers say in the place of a contrast agent if there was none."""
_MADE_FROM_OTHERS = {"SUBTRACTION", "SUB", "MIP", "MIN IP", "PROJECTION IMAGE", "PROJECTION"}
_LONGEST_T1_ECHO_MS = 30.0
_THIN_MM = 2.0
_T1_GD = 4
"""Least score of a series that says of itself that it is T1-Gd."""


@dataclass(frozen=True)
class Candidate:
    """A series as the input of a prediction.

    :param score: how well what its headers say fits T1-Gd.
    :param reasons: what they say.
    :param spacing: mm along columns, rows and slices, None if it is no regular volume.
    :param problem: why it cannot be the input; empty if it can.
    """

    series: Series
    score: int
    reasons: tuple[str, ...]
    spacing: tuple[float, float, float] | None = None
    problem: str = ""

    def sentence(self) -> str:
        """What was found, for people."""
        if self.problem:
            return self.problem
        return f"{', '.join(self.reasons) or 'nothing says T1-Gd'} (score {self.score})"


def rank_series(series: Iterable[Series], drawn_on: Collection[str] = ()) -> list[Candidate]:
    """Judge series by their headers, the best ones first and those that cannot be used last.

    :param drawn_on: UIDs of series that structures were drawn on.
    """
    judged = [_judge(item, item.uid in drawn_on) for item in series]
    return sorted(judged, key=lambda found: (bool(found.problem), -found.score, found.series.study_date))


def named_series(series: Sequence[Series], wanted: str) -> list[Series]:
    """Those whose UID is `wanted`, else those of this number or description."""
    fitting = [item for item in series if wanted == item.uid]
    fitting = fitting or [item for item in series if wanted in (item.number, item.description)]
    return fitting or [item for item in series if wanted.casefold() == item.description.casefold()]


def choose_t1_gd(series: Sequence[Series], wanted: str | None = None, drawn_on: Collection[str] = ()) -> Candidate:
    """Choose the T1-Gd among series: the one that is named, the only one that can be, or clearly the best one.

    :param wanted: SeriesInstanceUID, series number or description.
    :param drawn_on: UIDs of series that structures were drawn on.
    :raises DicomSeriesError: none or more than one fits; it lists them with what was found.
    """
    found = rank_series(named_series(series, wanted) if wanted else series, drawn_on)
    usable = [item for item in found if not item.problem]
    best = [item for item in usable if item.score == usable[0].score]
    known = len(usable) == 1 or (best and (best[0].score >= _T1_GD or best[0].series.uid in drawn_on))
    if len(best) == 1 and known:
        return best[0]
    what = f"'{wanted}'" if wanted else "T1-Gd"
    if not usable:
        message = f"No series can be used as {what}"
    else:
        message = f"{len(best)} series may be {what}" if known else f"No series says that it is {what}"
    listed = "; ".join(f"{item.series}: {item.sentence()}" for item in found or rank_series(series)) or "none"
    raise DicomSeriesError(f"{message}; there are: {listed}.", "Name one with --series: UID, number or description.")


def note_of_choice(chosen: Candidate, series: Sequence[Series]) -> Note:
    """What is to be said of a choice; the description is the scanner's, no name of a patient."""
    among = f"of {len(series)} series" if len(series) > 1 else "as the only series"
    return Note("dicom-series", f"Read {among}: {chosen.series}, because: {chosen.sentence()}.")


def read_structure_sets(paths: Iterable[Path]) -> tuple[list[StructureSet], list[Note]]:
    """Those that can be read, and a note on the others.

    :raises StructureSetError: none can be read.
    """
    structures, errors = [], []
    for path in paths:
        try:
            structures.append(read_structure_set(path))
        except StructureSetError as error:
            errors.append(error)
    if errors and not structures:
        raise errors[0]
    return structures, [
        Note("damaged-rtstruct", f"One of several was passed over: {error.message}") for error in errors
    ]


def choose_gtv(
    structures: Sequence[StructureSet], pre: Series, pattern: str, names: Sequence[str]
) -> tuple[StructureSet, list[Roi], list[Note]]:
    """The newest structure set drawn on a series, else the newest in its frame of reference; its GTV; what is noted.

    :param pattern: regular expression of a GTV's name.
    :param names: names of regions, which are taken instead.
    :raises StructureSetError, FrameOfReferenceError: if there is none.
    """
    if not structures:
        raise StructureSetError("There is no RTSTRUCT of this patient.")
    newest = sorted(structures, key=lambda item: item.time, reverse=True)
    errors: list[StructureSetError] = []
    for item in sorted(newest, key=lambda item: pre.uid not in item.series):
        try:
            rois = choose_rois(item, pattern, names)
            check_frame(rois, pre)
        except StructureSetError as error:
            errors.append(error)
            continue
        passed = [Note("older-rtstruct", f"A newer RTSTRUCT was passed over: {e.message}") for e in errors]
        return item, rois, passed + _notes_of_rois(item, rois, pattern, names)
    raise next((error for error in errors if isinstance(error, FrameOfReferenceError)), errors[0])


def series_drawn_on(structures: StructureSet, chosen: Series, tree: Tree) -> Series:
    """The series whose slices structures lie in: the chosen one, or another one in its coordinate system."""
    if chosen.uid in structures.series:
        return chosen
    others = [item for item in tree.series if item.uid in structures.series]
    return next((item for item in others if item.frame_of_reference == chosen.frame_of_reference), chosen)


def _judge(series: Series, drawn: bool) -> Candidate:
    try:
        spacing = grid_of(series).GetSpacing()
    except DicomSeriesError as error:
        return Candidate(series, 0, (), None, error.message)
    if series.synthetic:
        return Candidate(series, 0, (), spacing, "it is synthetic, no scan")
    if series.modality != "MR":
        return Candidate(series, 0, (), spacing, "it is no MR")
    found = [item for item in _evidence(series, drawn, spacing[2]) if item]
    return Candidate(series, sum(points for points, _ in found), tuple(reason for _, reason in found), spacing)


def _evidence(series: Series, drawn: bool, slice_mm: float) -> list[tuple[int, str] | None]:
    """Points and reason of each thing that headers say for or against T1-Gd."""

    def says(pattern: str) -> bool:
        return re.search(pattern, series.description, re.IGNORECASE) is not None

    echo = series.times_ms[1]
    t1_gd = says(DEFAULT_SERIES)
    made = sorted(_MADE_FROM_OTHERS & set(series.image_type)) or (["subtraction"] if says(r"(?<![a-z])sub") else [])
    return [
        (4, "the description says T1 with contrast") if t1_gd else None,
        (1, "the description says T1") if says("t1|mprage") and not t1_gd else None,
        (3, f"contrast agent {series.contrast}") if series.contrast.upper() not in NO_AGENT else None,
        (3, "structures were drawn on it") if drawn else None,
        (1, f"thin slices ({slice_mm:.3g} mm)") if slice_mm <= _THIN_MM else None,
        (-3, "the description says no contrast") if says(NATIVE) else None,
        (-3, "the description says another kind of image") if says(OTHER_WEIGHTING) else None,
        (-3, f"echo time {echo:.3g} ms, as of T2") if echo is not None and echo > _LONGEST_T1_ECHO_MS else None,
        (-4, f"made from other images ({made[0]})") if made else None,
    ]


def _notes_of_rois(structures: StructureSet, rois: Sequence[Roi], pattern: str, names: Sequence[str]) -> list[Note]:
    """What should be known of a choice among several regions."""
    notes, wanted = [], {roi.name.casefold() for roi in rois}
    empty = [
        roi.name
        for roi in structures.rois
        if not roi.drawn and (roi.name.casefold() in wanted or (not names and matches(roi, pattern)))
    ]
    if empty:
        notes.append(Note("empty-region", f"Regions without a contour were left out: {', '.join(empty)}."))
    if len(rois) > max(1, len(names)):
        union = ", ".join(roi.name for roi in rois)
        notes.append(Note("several-regions", f"The GTV is the union of the regions {union}."))
    return notes
