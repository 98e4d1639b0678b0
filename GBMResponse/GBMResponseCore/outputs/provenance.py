"""The record that accompanies every output: what was computed, from what, by which model and software."""

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import SYNTHETIC_NOTICE, __version__
from ..model.environment import installed_version
from ..request import PredictionOptions
from ..setting import settings

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..prediction import Prediction

_IN_CLASS = ("scheme", "classes")
_LIBRARIES = ("torch", "diffusers", "SimpleITK", "numpy")


def provenance(bundle: "Bundle", prediction: "Prediction") -> dict[str, Any]:
    """Return the JSON-ready record of a prediction; inputs by hash only, as file names may carry a patient's name."""
    choice, slices, options = prediction.class_choice, prediction.slices, prediction.options
    return {
        "notice": SYNTHETIC_NOTICE,
        "synthetic": True,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": {
            "name": "gbmresponse",
            "version": __version__,
            "python": platform.python_version(),
            **{name: installed_version(name) for name in _LIBRARIES},
        },
        "bundle": {"name": bundle.name, "version": bundle.version, "bundle_json_sha256": bundle.sha256},
        "inputs_sha256": {name: source["sha256"] for name, source in slices.case.sources.items()},
        "gtv_volume_ml": round(slices.case.gtv_volume_ml, 3),
        **{
            entry.name: getattr(options, entry.attribute)
            for entry in settings(PredictionOptions)
            if entry.attribute not in _IN_CLASS
        },
        "samples_asked": options.sample_count if prediction.samples_asked is None else prediction.samples_asked,
        "predicted_is": prediction.predicted_name,
        "expected_image": prediction.expected_method,
        "composition_pixels": asdict(bundle.composition) if options.compose else None,
        "class": {
            "asked": options.classes[0],
            "scheme": choice.scheme,
            "name": choice.name,
            "source": choice.class_source,
            "probabilities": choice.probabilities,
            "note": choice.note,
        },
        "slices": {
            "mode": slices.grid.mode,
            "count": len(slices.indices),
            "indices_from_inferior": slices.indices.tolist(),
            "positions_mm": slices.positions_mm.tolist(),
        },
        "intensity_scale": vars(slices.scale),
        "seconds": prediction.seconds,
        "warnings": [vars(note) for note in slices.case.notes] + _stopped(prediction),
    }


def _stopped(prediction: "Prediction") -> list[dict[str, str]]:
    """What is to be said of a prediction that was stopped while its samples were drawn."""
    if prediction.samples_asked is None:
        return []
    return [{"code": "stopped", "sentence": prediction.stopped_sentence}]
