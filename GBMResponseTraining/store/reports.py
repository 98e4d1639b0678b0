"""What an import reports: `imported.csv`, `skipped.csv` and a summary for the terminal."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.files import write_csv

from ..datasets.pair import PairSource, Skipped

_IMPORTED = (
    "patient", "slices", "gtv_volume_ml", "gtv_labels", "mode", "registered", "correlation_before",
    "correlation_after", "survival_days", "censored", "interval_days", "days_since_rt", "post_gtv_volume_ml", "notes",
)  # fmt: skip
_SKIPPED = ("patient", "code", "reason", "remedy")


def write_imported(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Write one line per imported patient.

    :raises OutputFolderError: if the file cannot be written.
    """
    rows = []
    for record in records:
        labels = record["gtv_labels"] or {}
        row = {
            **record,
            "patient": record["id"],
            "slices": len(record["slice_positions_mm"]),
            "gtv_labels": " ".join(f"{label}:{voxels}" for label, voxels in labels.items()),
            "notes": " ".join(note["sentence"] for note in record["notes"]),
        }
        rows.append([row[column] for column in _IMPORTED])
    write_csv(_IMPORTED, rows, path)


def write_skipped(skipped: Sequence[Skipped], path: Path) -> None:
    """Write one line per patient that was not imported.

    :raises OutputFolderError: if the file cannot be written.
    """
    write_csv(_SKIPPED, [[item.patient, item.code, item.reason, item.remedy] for item in skipped], path)


def summary(pairs: Sequence[PairSource], skipped: Sequence[Skipped], found: int | None = None) -> str:
    """Return what was found before any image is read: usable pairs, reasons of the others, and distributions.

    :param found: number of pairs, if it is not that of `pairs`, which alone enter the distributions.
    """
    count = len(pairs) if found is None else found
    lines = [f"Pairs found: {count}; patients without a usable pair: {len(skipped)}"]
    lines += [f"  {code}: {count}" for code, count in Counter(item.code for item in skipped).most_common()]
    if len(pairs) < count:
        return "\n".join(lines)
    for name, values in (
        ("Survival", [pair.survival_days for pair in pairs]),
        ("Interval", [pair.interval_days for pair in pairs]),
        ("Start of radiotherapy to follow-up", [pair.days_since_radiotherapy for pair in pairs]),
    ):
        lines.append(f"{name} in days: {_distribution([value for value in values if value is not None])}")
    lines.append(f"Survival not known: {sum(pair.survival_days is None for pair in pairs)}")
    lines.append(f"Censored: {sum(pair.censored for pair in pairs)}")
    return "\n".join(lines)


def label_summary(records: Sequence[dict[str, Any]]) -> str:
    """Return the meaning, number of voxels and T1-Gd signal of every label value, over all patients of a store.

    The signal is the median over patients of the label's mean relative to the head's: where the meanings are right,
    enhancing tumor is the brightest. Empty if no data set named its labels.
    """
    voxels: Counter[tuple[str, str]] = Counter()
    used, signals = set(), defaultdict(list)
    for record in records:
        names, chosen = record.get("gtv_label_names") or {}, record.get("gtv_labels_used")
        for value, count in (record["gtv_labels"] or {}).items():
            if not names:
                continue
            key = (value, names.get(value, "unknown"))
            voxels[key] += count
            if chosen is None or float(value) in chosen:
                used.add(key)
            signal = (record.get("gtv_label_signal") or {}).get(value)
            if signal is not None:
                signals[key].append(signal)
    lines = []
    for key in sorted(voxels):
        signal = f", T1-Gd signal {np.median(signals[key]):.2f} of the head's" if signals[key] else ""
        lines.append(f"  {key[0]} = {key[1]}: {voxels[key]} voxels{signal}{', GTV' if key in used else ''}")
    return "\n".join(["Labels of the masks:", *lines]) if lines else ""


def _distribution(values: Sequence[float]) -> str:
    if not values:
        return "not known"
    numbers = np.percentile(values, (0, 25, 50, 75, 100))
    counts, edges = np.histogram(values, bins=min(8, len(values)))
    bars = ", ".join(f"{low:.0f}-{high:.0f}: {n}" for low, high, n in zip(edges, edges[1:], counts, strict=False))
    return "minimum {:g}, quartiles {:g} / {:g} / {:g}, maximum {:g}".format(*numbers) + f" ({bars})"
