"""What enhances, as segmentations for 3D Slicer."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.gtv import segment_names
from GBMResponseCore.inputs.reading import read_volume
from GBMResponseCore.measure.measurements import measure
from GBMResponseCore.outputs.segments import AFTER, BEFORE, LINES, write_lines, write_segments


@pytest.fixture
def result(parts, tmp_path):
    slices, predictions = parts[:2]
    nothing = slices.case.image * 0 + 500
    short = replace(predictions["short"], samples=[slices.case.image, slices.case.image, slices.case.image, nothing])
    measured = measure(slices, {"short": short}, slices.pre)
    return SimpleNamespace(
        measurements=measured, slices=slices, predictions={"short": short}, request=SimpleNamespace(out=tmp_path)
    )


def test_segments_have_names_codes_and_the_inputs_grid(result, parts, tmp_path):
    files = write_segments(result)
    assert {path.name for path in files.values()} == {BEFORE, AFTER}
    before, after = (sitk.ReadImage(str(tmp_path / name)) for name in (BEFORE, AFTER))
    image = parts[0].case.image
    for segments in (before, after):
        assert segments.GetSize() == image.GetSize()
        assert np.allclose(segments.GetOrigin(), image.GetOrigin())
        assert "SCT^4147007^Mass" in segments.GetMetaData("Segment0_Tags")
    assert before.GetMetaData("Segment0_Name") == "Enhancing before, measured"
    assert after.GetMetaData("Segment1_Name") == "SYNTHETIC probability of enhancement 50% to 80%"
    assert len(segment_names(read_volume(tmp_path / AFTER).values)) == 3


def test_bands_are_those_of_the_probability(result, tmp_path):
    write_segments(result)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / AFTER)))
    chance = sitk.GetArrayFromImage(result.measurements.enhancement_probability["short"])
    assert (labels[chance == 0.75] == 2).all() and (chance == 0.75).any()
    assert (labels[chance < 0.2] == 0).all()
    before = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / BEFORE)))
    assert before.any() and np.array_equal(before > 0, chance >= 0.375)


def test_lines_are_the_diameters_that_were_measured(result, parts, tmp_path):
    assert write_lines(result) == {"lines": tmp_path / LINES}
    markups = json.loads((tmp_path / LINES).read_text("utf-8"))["markups"]
    lengths = [math.dist(*(point["position"] for point in entry["controlPoints"])) for entry in markups]
    before = result.measurements.record["before"]["lesions"]
    after = result.measurements.record["classes"]["short"]["per_sample"][0]["lesions"]
    measured = [lesion[name] for lesion in before + after for name in ("diameter_mm", "perpendicular_mm")]
    assert lengths == pytest.approx(measured, abs=1e-3) and len(before) > 0
    assert markups[0]["name"] == "before: lesion 1, diameter"
    assert markups[-1]["name"].startswith("SYNTHETIC sample 1: lesion")
    # They lie in the mask that is written beside them.
    write_segments(result)
    mask = sitk.ReadImage(str(tmp_path / BEFORE))
    for entry in markups[:2]:
        middle = np.mean([point["position"] for point in entry["controlPoints"]], axis=0)
        assert mask[mask.TransformPhysicalPointToIndex(middle.tolist())] == 1


def test_lines_are_not_written_where_areas_are_withheld(result, parts, tmp_path):
    slices, short = parts[0], result.predictions["short"]
    measured = measure(slices, {"short": short}, None)
    assert write_lines(SimpleNamespace(**{**vars(result), "measurements": measured})) == {}
    assert not (tmp_path / LINES).exists()


def test_what_is_withheld_is_not_written(result, parts, tmp_path):
    slices, short = parts[0], result.predictions["short"]
    measured = measure(slices, {"short": short}, np.full_like(slices.pre, 1.0))
    assert write_segments(SimpleNamespace(**{**vars(result), "measurements": measured})) == {}
    assert not (tmp_path / BEFORE).exists()
