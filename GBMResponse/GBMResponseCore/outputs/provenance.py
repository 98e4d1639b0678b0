"""The record that accompanies every output: what was computed, from what, by which model and software."""

import platform
from datetime import UTC, datetime
from typing import Any

from .. import SYNTHETIC_NOTICE, __version__
from ..environment import installed_version
from ..inputs.case import Case
from ..model.bundle import Bundle
from ..prediction import Prediction, PredictionOptions

_LIBRARIES = ("torch", "diffusers", "SimpleITK", "numpy")


def provenance(case: Case, bundle: Bundle, options: PredictionOptions, prediction: Prediction) -> dict[str, Any]:
    """Return the JSON-ready record of a prediction; inputs by hash only, as file names may carry a patient's name."""
    choice, sampling, grid = prediction.class_choice, prediction.sampling, prediction.grid
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
        "inputs_sha256": {name: source["sha256"] for name, source in case.sources.items()},
        "gtv_volume_ml": round(case.gtv_volume_ml, 3),
        "seed": options.seed,
        "samples": options.samples,
        "days_since_rt": prediction.days_since_rt,
        "sampler": sampling.sampler,
        "steps": sampling.steps,
        "eta": sampling.eta,
        "guidance_scale": sampling.guidance_scale,
        "guidance_form": sampling.guidance_form,
        "class": {
            "scheme": choice.scheme,
            "name": choice.name,
            "source": choice.source,
            "probabilities": choice.probabilities,
        },
        "device": prediction.device,
        "precision": prediction.precision,
        "slices": {
            "mode": grid.mode,
            "count": len(prediction.slices),
            "indices_from_inferior": prediction.slices,
            "positions_mm": grid.slice_positions_mm[prediction.slices].tolist(),
        },
        "intensity_scale": vars(prediction.scale),
        "seconds": prediction.seconds,
        "warnings": [vars(note) for note in prediction.notes],
    }
