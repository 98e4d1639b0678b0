"""The plugin of DICOM export on real nodes: offered first, marked, in the study of the input, with the same voxels."""

import json
from pathlib import Path

import numpy as np
import phantoms
import pydicom
import pytest
import SimpleITK
import slicer
import vtk
from dicom_head import DIRECTION, GRID, head_of
from fake_dicom import write_series
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.dicom.SyntheticExport import PLUGIN, registerPlugin


@pytest.fixture
def plugin(monkeypatch):
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    registerPlugin()
    return slicer.modules.dicomPlugins[PLUGIN]()


@pytest.fixture
def head(tmp_path):
    header = write_series(tmp_path / "export", phantoms.head(*GRID, direction=DIRECTION))
    head = head_of(tmp_path / "export", header)
    for path in head.folder.iterdir():
        slicer.dicomDatabase.insert(path)
    SimpleITK.WriteImage(head.image, tmp_path / "input.nrrd")
    return head


@pytest.fixture
def volumes(head, tmp_path):
    """The input as it is loaded from DICOM, and a result of it, brighter by 5."""
    volume = slicer.util.loadVolume(str(tmp_path / "input.nrrd"), {"name": "Doe Jane T1"})
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in sorted(head.folder.iterdir())]
    volume.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    SimpleITK.WriteImage(head.image + 5, tmp_path / "result.nrrd")
    result = slicer.util.loadVolume(str(tmp_path / "result.nrrd"), {"name": "SYNTHETIC predicted (Doe Jane T1)"})
    record = {"bundle": {"name": "demo", "version": "1.1", "bundle_json_sha256": "ab" * 32}}
    for name, value in {
        NodeRoles.SYNTHETIC: "1", NodeRoles.ROLE: NodeRoles.PREDICTED, NodeRoles.RUN: "r",
        NodeRoles.PROVENANCE: json.dumps(record),
    }.items():  # fmt: skip
        result.SetAttribute(name, value)
    result.SetNodeReferenceID(NodeRoles.INPUT_VOLUME, volume.GetID())
    return volume, result


def item(node) -> int:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


def exported(plugin, node, folder, **tags) -> tuple[str, list[pydicom.Dataset]]:
    (exportable,) = plugin.examineForExport(item(node))
    exportable.directory = str(folder)
    for name, value in tags.items():
        exportable.setTag(name, value)
    problem = plugin.export([exportable])
    return problem, [pydicom.dcmread(path) for path in sorted(Path(folder).rglob("*.dcm"))]


def test_it_is_offered_for_generated_volumes_alone_and_first(plugin, volumes):
    volume, result = volumes
    assert plugin.examineForExport(item(volume)) == []
    (exportable,) = plugin.examineForExport(item(result))
    assert exportable.pluginClass in slicer.modules.dicomPlugins
    assert exportable.confidence > 0.5
    assert exportable.tag("SeriesDescription").startswith("SYNTHETIC")
    assert exportable.tag("Modality") != "CT"


def test_a_result_goes_into_the_study_of_its_input(plugin, head, volumes, tmp_path):
    problem, datasets = exported(plugin, volumes[1], tmp_path / "out", SeriesDescription="for the tumor board")
    assert problem == ""
    first = datasets[0]
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[name].value == head.header[name].value
    assert (first.Modality, first.SyntheticData, list(first.ImageType[:2])) == ("MR", "YES", ["DERIVED", "SECONDARY"])
    assert first.SeriesDescription == "SYNTHETIC for the tumor board"
    assert "demo 1.1, SHA-256 " + "ab" * 32 in first.DerivationDescription
    assert {item.SourceImageSequence[0].ReferencedSOPInstanceUID for item in datasets} == {
        pydicom.dcmread(path).SOPInstanceUID for path in head.folder.iterdir()
    }
    (folder,) = (tmp_path / "out").iterdir()
    assert "Doe" not in folder.name
    back = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(back), SimpleITK.GetArrayFromImage(head.image) + 5)
    np.testing.assert_allclose(back.GetOrigin(), head.image.GetOrigin(), atol=1e-4)


def test_slicers_own_reader_reads_what_was_written(plugin, head, volumes, tmp_path):
    problem, datasets = exported(plugin, volumes[1], tmp_path / "out")
    assert problem == ""
    storage, node = slicer.vtkMRMLVolumeArchetypeStorageNode(), slicer.vtkMRMLScalarVolumeNode()
    files = [dataset.filename for dataset in sorted(datasets, key=lambda dataset: dataset.InstanceNumber)]
    storage.SetFileName(files[0])
    for name in files:
        storage.AddFileName(name)
    storage.SetSingleFile(False)
    assert storage.ReadData(node)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), SimpleITK.GetArrayFromImage(head.image) + 5)
    read, meant = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(read)
    volumes[0].GetIJKToRASMatrix(meant)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(read), slicer.util.arrayFromVTKMatrix(meant), atol=1e-4)


def test_without_dicom_the_patient_is_that_of_the_dialog(plugin, head, volumes, tmp_path):
    volume, result = volumes
    volume.RemoveAttribute("DICOM.instanceUIDs")
    tags = {"PatientID": "P7", "PatientName": "Roe^Richard", "StudyInstanceUID": "1.2.3"}
    problem, datasets = exported(plugin, result, tmp_path / "out", **tags)
    assert problem == ""
    assert {tuple(str(item[name].value) for name in tags) for item in datasets} == {tuple(tags.values())}
    assert len(datasets) == 8
    assert datasets[0].SyntheticData == "YES"
    assert "SourceImageSequence" not in datasets[0]


def test_a_volume_that_was_moved_is_refused_with_a_sentence(plugin, volumes, tmp_path):
    result = volumes[1]
    result.SetOrigin(*np.add(result.GetOrigin(), (7, 0, 0)))
    problem, datasets = exported(plugin, result, tmp_path / "out")
    assert "does not lie on the grid" in problem
    assert datasets == []


def test_the_module_registers_it_when_slicer_has_started(session, monkeypatch):
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    import GBMResponse

    GBMResponse.onStartupCompleted()
    assert PLUGIN in slicer.modules.dicomPlugins
