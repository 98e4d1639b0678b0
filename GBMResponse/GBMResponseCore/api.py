"""The engine in a few lines of Python: a case in, a prediction out, nothing written. See docs/python.md."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dicom.case import load_case
from .errors import GBMResponseError
from .inputs.arrays import case_from_arrays, case_from_images, to_array
from .inputs.case import Case
from .model.manifest import RESOURCES
from .progress import Listener
from .request import AUTO_CLASS, CaseFacts, PredictionOptions, PredictionRequest
from .run import Runner

if TYPE_CHECKING:
    from .prediction import Prediction

__all__ = [
    "Case",
    "CaseFacts",
    "GBMResponseError",
    "Listener",
    "PredictionOptions",
    "PredictionRequest",
    "Runner",
    "case_from_arrays",
    "case_from_images",
    "load_case",
    "measure_prediction",
    "predict",
    "sample_case",
    "to_array",
]

_RUNNER = Runner()
"""Keeps the models of recent predictions loaded."""


def sample_case() -> Case:
    """The real case that ships: the input, its GTV and the true follow-up (Brain-Tumor-Progression, TCIA, CC BY 3.0).

    ```pycon
    >>> import GBMResponseCore as gbm
    >>> case = gbm.sample_case()
    >>> case.image.GetSize(), round(case.gtv_volume_ml, 1)
    ((256, 256, 20), 17.0)

    ```
    """
    folder = RESOURCES / "SampleData"
    image, gtv, later = (folder / f"btp05_{name}.nii.gz" for name in ("pre_t1gd", "pre_gtv", "post_t1gd"))
    return load_case(image, gtv, later)


def predict(
    case: Case,
    survival_class: str = AUTO_CLASS,
    *,
    bundle: Path | str | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> "Prediction":
    """Predict the follow-up of a case. The model stays loaded for the next call.

    ```pycon
    >>> import GBMResponseCore as gbm
    >>> prediction = gbm.predict(gbm.sample_case(), sample_count=0)
    >>> array, affine = gbm.to_array(prediction.expected)
    >>> array.shape
    (256, 256, 20)

    ```

    :param case: of `load_case`, `case_from_arrays`, `case_from_images` or `sample_case`. What is unusual about it is
        then in `prediction.slices.case.notes`.
    :param survival_class: a class of the model, `predicted` by its classifier, `auto`: predicted if the classifier has
        shown skill, else none.
    :param bundle: folder or name of a model; None: the one that ships.
    :param listener: hears how it goes on, and may stop it.
    :param settings: fields of `PredictionOptions`, such as `sample_count`, `seed`, `guidance_scale`, `device`.
    :returns: the expected image, samples, their spread and the mask of what was generated: SimpleITK images on the grid
        of the case's image, synthetic, for research only.
    :raises TypeError: there is no such setting.
    :raises GBMResponseError: by case, settings, bundle or machine; the kinds are in docs/troubleshooting.md.
    """
    options = PredictionOptions(classes=(survival_class,), **settings)
    return _RUNNER.predict(case, options, bundle=bundle, listener=listener)


def measure_prediction(prediction: "Prediction", *, bundle: Path | str | None = None) -> dict[str, Any]:
    """Measure a prediction: volumes, diameters, size categories, and the score if the case has a true follow-up.

    ```pycon
    >>> import GBMResponseCore as gbm
    >>> prediction = gbm.predict(gbm.sample_case(), sample_count=2, steps=2)
    >>> measured = gbm.measure_prediction(prediction)
    >>> round(measured["before"]["volume_ml"], 1), len(measured["per_sample"])
    (17.1, 2)

    ```

    :param prediction: of `predict`; with samples, as volumes of an average mean little.
    :param bundle: the model that it was made with; None: the one that ships.
    :returns: what `measurements.json` holds of a class: docs/measurements.md.
    :raises GBMResponseError: by the follow-up, bundle or machine.
    """
    return _RUNNER.measure(prediction, bundle=bundle)
