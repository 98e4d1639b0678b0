"""Diameters as line markups, read by Slicer's own logic."""

from types import SimpleNamespace

import numpy as np
import phantoms
import pytest
import SimpleITK
import slicer
from GBMResponseCore.measure.lesions import find_lesions
from GBMResponseCore.outputs.segments import write_lines

SPACING = (1.0, 1.0, 4.0)


def test_slicer_loads_all_lines_of_the_file_with_names_and_lengths(session, tmp_path):
    grid = SimpleITK.Image(40, 40, 5, SimpleITK.sitkUInt8)
    grid.SetSpacing(SPACING)
    grid.SetDirection((phantoms.rotation("x", 12) @ phantoms.rotation("z", -7)).ravel().tolist())
    mask = np.zeros((5, 40, 40), bool)
    mask[1:4, 5:30, 10:22] = True
    masks = SimpleNamespace(before=mask, of=lambda prediction: [mask[:, ::-1]])
    measurements = SimpleNamespace(record={"withheld": {"area": None}}, masks=masks)
    slices = SimpleNamespace(grid=SimpleNamespace(spacing=SPACING, reference=grid))
    request = SimpleNamespace(out=tmp_path)
    result = SimpleNamespace(measurements=measurements, slices=slices, predictions={"a": None}, request=request)
    logic = slicer.vtkSlicerMarkupsLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    assert logic.LoadMarkups(str(write_lines(result)["lines"]))
    nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode")
    assert [node.GetName() for node in nodes] == [
        f"{what}: lesion 1, {kind}"
        for what in ("before", "SYNTHETIC sample 1")
        for kind in ("diameter", "perpendicular diameter")
    ]
    (lesion,) = find_lesions(mask, SPACING[::-1]).lesions
    lengths = [node.GetLineLengthWorld() for node in nodes]
    assert lengths == pytest.approx(2 * [lesion.diameter_mm, lesion.perpendicular_mm], abs=1e-4)
    ends = slicer.util.arrayFromMarkupsControlPoints(nodes[0], world=True) * (-1, -1, 1)  # RAS to LPS
    for point in ends:
        row, column = grid.TransformPhysicalPointToContinuousIndex(point.tolist())[1::-1]
        assert min(abs(row - 4.5), abs(row - 29.5)) < 1e-3 and min(abs(column - 9.5), abs(column - 21.5)) < 1e-3
