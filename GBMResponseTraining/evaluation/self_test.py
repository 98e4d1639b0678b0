"""Do measures report a change where nothing changed? Tried on whole cases, with a bundle's own autoencoder.

The prediction is replaced by the input itself, and by the input as the bundle's autoencoder draws it: nothing has
changed but the sharpness. Both are measured as the engine measures a sample. A third column has the autoencoder's image
again, measured without the smoothing that makes all images equally sharp.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import ensure_output_folder, write_csv, write_text
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.case_table import TableCase
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.measurements import measure
from GBMResponseCore.measure.response import NOT_ASSESSABLE, SD, noise_band
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions

from .tables import formatted, join_parts, markdown_table

COPY, AUTOENCODER, UNSMOOTHED = "copy", "autoencoder", "unsmoothed"
_TITLES = {COPY: "copy", AUTOENCODER: "autoencoder", UNSMOOTHED: "autoencoder, not smoothed"}
_SLICES_AT_ONCE = 8
_FIGURES = ("volume_change", "area_change", "new_lesions", "category_by_volume", "category_by_area")
_COLUMNS = (
    "id", "gtv_dice", "volume_before_ml", "area_before_mm2", "withheld_volume", "withheld_area",
    *(f"{name}_{figure}" for name in _TITLES for figure in _FIGURES), "error",
)  # fmt: skip


@dataclass(frozen=True)
class CheckedCase:
    """What is measured in a case in which nothing changed.

    :param check: of :class:`GBMResponseCore.measure.check.SelfCheck`, with each image as the unchanged one.
    :param withheld: what the engine would not show, and why.
    :param error: why the case could not be measured; then there is nothing else.
    """

    identifier: str
    check: dict[str, dict[str, Any]]
    withheld: dict[str, str | None]
    error: str = ""

    @property
    def gtv_dice(self) -> float:
        return self.check[COPY]["gtv_dice"]

    def changes(self, name: str) -> list[str]:
        """What changes in the measures of one image, in words; empty if nothing does."""
        found = self.check[name]["unchanged"]
        change = found["volume_change"]
        beyond = change is not None and abs(change) > noise_band(found["volume_before_ml"])
        words = [f"{change:+.0%} volume"] if beyond else []
        words += [f"{found['new_lesions']} new lesion(s)"] if found["new_lesions"] else []
        kinds = ("volume", "area")
        return words + [f"{found[f'category_by_{k}']} by {k}" for k in kinds if not _still(found[f"category_by_{k}"])]

    def row(self) -> dict[str, Any]:
        """One line of the table of all figures."""
        row: dict[str, Any] = {"id": self.identifier, "error": self.error}
        if self.error:
            return row
        row |= {"gtv_dice": self.gtv_dice, **{f"withheld_{what}": reason for what, reason in self.withheld.items()}}
        row |= {name: self.check[COPY]["unchanged"][name] for name in ("volume_before_ml", "area_before_mm2")}
        return row | {f"{name}_{key}": self.check[name]["unchanged"][key] for name in _TITLES for key in _FIGURES}


def measure_unchanged(cases: Sequence[TableCase], predictor: Predictor) -> list[CheckedCase]:
    """Measure every case as if nothing had changed; a case that cannot be read is listed with its error."""
    return [_tested(case, predictor) for case in cases]


def write_self_test(tested: Sequence[CheckedCase], bundle: str, out: Path) -> bool:
    """Write `self_test.md` and `self_test.csv`; whether no measure of any case reported a change.

    :param bundle: its name.
    :raises OutputFolderError: they cannot be written.
    """
    measured = [case for case in tested if not case.error]
    passed = bool(measured) and not any(case.changes(name) for case in measured for name in (COPY, AUTOENCODER))
    out = ensure_output_folder(out)
    write_csv(_COLUMNS, [{name: case.row().get(name) for name in _COLUMNS} for case in tested], out / "self_test.csv")
    write_text(_page(tested, measured, bundle, passed), out / "self_test.md")
    return passed


def _tested(case: TableCase, predictor: Predictor) -> CheckedCase:
    try:
        slices = predictor.read_slices(load_case(case.image, case.gtv))
        drawn = predictor.unchanged(slices, PredictionOptions(batch_size=_SLICES_AT_ONCE))
        copied = slices.read(slices.to_volume(slices.pre)[0])
        rule = EnhancementRule.with_head(predictor.bundle.enhancement_head)
        record = measure(slices, {}, drawn, enhancement=rule).record
        records = {
            COPY: measure(slices, {}, copied, enhancement=rule).record,
            AUTOENCODER: record,
            UNSMOOTHED: measure(slices, {}, drawn, enhancement=replace(rule, smoothing_mm=0.0)).record,
        }
    except GBMResponseError as error:
        return CheckedCase(case.identifier, {}, {}, error.message)
    return CheckedCase(case.identifier, {name: entry["check"] for name, entry in records.items()}, record["withheld"])


def _page(tested: Sequence[CheckedCase], measured: Sequence[CheckedCase], bundle: str, passed: bool) -> str:
    lines = []
    for case in measured:
        found = {name: case.check[name]["unchanged"] for name in _TITLES}
        cells = [f"{case.gtv_dice:.2f}", f"{found[COPY]['volume_before_ml']:.1f}"]
        cells += [_cell(found[name]) for name in _TITLES]
        withheld = "volumes, areas" if case.withheld["volume"] else "areas" if case.withheld["area"] else "–"
        lines.append([case.identifier, *cells, withheld])
    counts = [
        f"{sum(not case.changes(name) for case in measured)} of {len(measured)} ({_TITLES[name]})" for name in _TITLES
    ]
    largest = {
        name: max((abs(case.check[name]["unchanged"]["volume_change"] or 0) for case in measured), default=0.0)
        for name in _TITLES
    }
    verdict = "**Passed:** no measure reports a change." if passed else "**Failed:** some measures report a change."
    return join_parts(
        [
            "# Self-test of measures",
            f"**{SYNTHETIC_NOTICE}**",
            f"Bundle {bundle}. Nothing has changed in any case: the prediction is the input (copy), or the input as "
            "the bundle's autoencoder draws it. A change is a category other than SD, a new lesion, or a volume change "
            "beyond the noise of repeated measurements.",
            f"{verdict} Cases without any change: {', '.join(counts)}. Largest volume change: "
            + ", ".join(f"{value:.1%} ({_TITLES[name]})" for name, value in largest.items())
            + ".",
            markdown_table(
                ["case", "Dice with GTV", "volume, ml", *(f"{title}: volume, area" for title in _TITLES.values()),
                 "withheld"],
                lines,
            ),
            *(f"{case.identifier} could not be measured: {case.error}" for case in tested if case.error),
        ]
    )  # fmt: skip


def _cell(found: dict[str, Any]) -> str:
    """Both changes with the category, if it is none of an unchanged image."""
    cells = []
    for kind in ("volume", "area"):
        category = found[f"category_by_{kind}"]
        cells.append(formatted("{:+.1%}" if kind == "volume" else "{:+.0%}", found[f"{kind}_change"]))
        cells[-1] += "" if _still(category) else f" **{category}**"
    return ", ".join(cells)


def _still(category: str) -> bool:
    """Whether a category says that nothing changed: nothing enhances before and after, or SD."""
    return category in (SD, NOT_ASSESSABLE)
