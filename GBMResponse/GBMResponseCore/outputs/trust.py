"""What a model has shown on held-out patients, for people: beside the best baseline, from the bundle's own figures."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..model.manifest import Manifest

_MEASURES = {
    "mse_local": ("squared error in the GTV", True),
    "ssim_local": ("SSIM in the GTV", False),
    "lpips": ("LPIPS of the slice", True),
}
"""What is shown of an evaluation's table, and whether less is better."""
_KINDS = {"model": "a sample", "expected image": "the expected image"}


def trust(manifest: Manifest) -> dict[str, Any]:
    """What the report says of a model, ready for JSON.

    :returns: `model`, `learned_from`, `classifier`; `evaluations`, each with `title`, `rows` (measure, value of a
        sample, of the expected image, the best baseline with its value, words on who is better) and `sentences`.
    """
    return {
        "model": f"{manifest.name} {manifest.version}",
        "learned_from": manifest.description.get("training_data", ""),
        "intended_use": manifest.description.get("intended_use", ""),
        "classifier": _classifier(manifest),
        "evaluations": [
            {"title": title, "rows": _rows(entry["table"]), "sentences": _sentences(entry)}
            for title, entry in _evaluations(_object(manifest.description.get("metrics")))
        ],
    }


def _classifier(manifest: Manifest) -> str:
    if manifest.classifier_doubt:
        return manifest.classifier_doubt
    return (
        "The survival classifier has AUC {auc:.2f} [{ci_low:.2f}, {ci_high:.2f}] in {patients} held-out patients."
    ).format(**manifest.description["classifier"]["held_out"])


def _evaluations(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Evaluations with a table, by title; no schema describes them."""
    others = _object(metrics.get("others")) if "table" in metrics else metrics
    for title, entry in {str(metrics.get("split", "")): metrics, **others}.items():
        if isinstance(_object(entry).get("table"), dict):
            own = metrics.get("title") or f"the {title} patients of the training cohort"
            yield (own if entry is metrics else title), entry


def _rows(table: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for measure, (words, less) in _MEASURES.items():
        values = [(name, _object(row).get("kind"), _mean(row, measure)) for name, row in table.items()]
        baselines = [(value, name) for name, kind, value in values if kind == "baseline" and value is not None]
        shown = {kind: value for _, kind, value in values if kind in _KINDS and value is not None}
        if not baselines or not shown:
            continue
        best, name = (min if less else max)(baselines)
        cells = [f"{shown[kind]:.3f}" if kind in shown else "–" for kind in _KINDS]
        rows.append([words, *cells, f"{best:.3f} ({name})", _winner(shown, best, less)])
    return rows


def _winner(shown: Mapping[str, float], best: float, less: bool) -> str:
    """Who is better by the mean over patients."""
    better = [_KINDS[kind] for kind, value in shown.items() if (value < best if less else value > best)]
    return " and ".join(better) if better else "the baseline"


def _mean(row: Any, measure: str) -> float | None:
    values = _object(_object(_object(row).get("metrics")).get(measure))
    mean = values.get("patient_mean", values.get("mean"))
    return float(mean) if isinstance(mean, int | float) else None


def _sentences(entry: Mapping[str, Any]) -> list[str]:
    found = entry.get("sentences")
    return [str(sentence).replace("*", "") for sentence in found] if isinstance(found, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
