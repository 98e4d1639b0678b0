"""The provenance of a prediction as a table that people read; `provenance.json` has all of it."""

from collections.abc import Mapping
from typing import Any


def provenance_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Names and values, those that the record has."""
    part = {name: record.get(name) or {} for name in ("software", "bundle", "inputs_sha256", "class", "slices")}
    sampling = [
        record.get("sampler"),
        f"{record.get('steps')} steps",
        f"guidance {record.get('guidance_scale')} ({record.get('guidance_form')})",
        f"eta {record.get('eta')}",
        f"temperature {record.get('temperature')}",
        f"noise length {record.get('noise_length')} mm",
        f"seed {record.get('seed')}",
    ]
    choice, slices = part["class"], part["slices"]
    chances = ", ".join(f"{name} {chance:.0%}" for name, chance in (choice.get("probabilities") or {}).items())
    rows = {
        "Made": record.get("created_utc"),
        "Software": _joined(part["software"]),
        "Model": " ".join(str(part["bundle"][name]) for name in ("name", "version") if name in part["bundle"]),
        "Model, SHA-256 of bundle.json": part["bundle"].get("bundle_json_sha256"),
        **{f"{name}, SHA-256 of voxels and geometry": digest for name, digest in part["inputs_sha256"].items()},
        "GTV": _with_unit(record.get("gtv_volume_ml"), "ml"),
        "Class": choice and f"{choice.get('name')} of {choice.get('scheme')} ({choice.get('source')})",
        "Probabilities by the classifier": chances,
        "Days since RT, as the model was told": record.get("days_since_rt"),
        "Sampling": ", ".join(map(str, sampling)) if record.get("sampler") else None,
        "Samples": _of_asked(record),
        "Expected image": record.get("expected_image"),
        "File 'predicted' is": record.get("predicted_is"),
        "Shown": _composition(record),
        "Slices": slices and f"{slices.get('count')}, {slices.get('mode')}",
        "Machine": ", ".join(str(record[name]) for name in ("device", "precision") if record.get(name)),
        "Time": _with_unit(round(sum((record.get("seconds") or {}).values()), 1) or None, "s"),
    }
    return [[name, str(value)] for name, value in rows.items() if value]


def _joined(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{'' if name in ('name', 'version') else f'{name} '}{value}" for name, value in values.items() if value
    )


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g} {unit}"


def _of_asked(record: Mapping[str, Any]) -> str | None:
    count, asked = record.get("samples"), record.get("samples_asked")
    return None if count is None else f"{count}" + (f" of {asked}" if asked not in (None, count) else "")


def _composition(record: Mapping[str, Any]) -> str | None:
    if "composition_pixels" not in record:
        return None
    rule = record["composition_pixels"]
    if rule is None:
        return "the model's whole slices"
    return f"prediction up to {rule['inner']:g} pixels from the GTV, input from {rule['outer']:g} on"
