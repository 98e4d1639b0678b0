"""What the pictures and the report of a prediction are made of."""

from dataclasses import replace

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.follow_up import align_follow_up
from GBMResponseCore.measure.measurements import measure
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.outputs.provenance import provenance
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions

SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)


@pytest.fixture(scope="session")
def parts(tmp_path_factory, tiny_bundle):
    """Everything a report is made of, for two classes and a follow-up."""
    folder = tmp_path_factory.mktemp("Jörg Müller")
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    sitk.WriteImage(image, str(folder / "Müller pre.nrrd"))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "Müller gtv.nrrd"))
    case = load_case(folder / "Müller pre.nrrd", folder / "Müller gtv.nrrd", folder / "Müller pre.nrrd")
    bundle = open_bundle(tiny_bundle)
    predictor = Predictor(bundle, "cpu", "float32")
    predictions = {name: predictor.predict(case, PredictionOptions(classes=(name,))) for name in ("short", "long")}
    records = {name: provenance(bundle, entry) for name, entry in predictions.items()}
    slices = replace(predictor.read_slices(case), follow_up=align_follow_up(case, bundle.normalization))
    return slices, predictions, records, measure(slices, predictions, slices.pre)
