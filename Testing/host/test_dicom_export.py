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
from GBMResponseCore.dicom.case import load_case
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.dicom.SyntheticExport import PLUGIN, RUN_PLUGIN, registerPlugin


@pytest.fixture
def plugins(monkeypatch):
    """As Slicer makes them for each item."""
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    registerPlugin()
    return {name: kind() for name, kind in slicer.modules.dicomPlugins.items()}


@pytest.fixture
def plugin(plugins):
    return plugins[PLUGIN]


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


@pytest.fixture
def run(head, volumes, tmp_path):
    """The whole run of a result: expected image, two samples, spread, probability of enhancement."""
    volume, result = volumes
    folder = slicer.mrmlScene.GetSubjectHierarchyNode().CreateFolderItem(item(volume), "run")
    chance = SimpleITK.Cast(head.gtv, SimpleITK.sitkFloat32) * 0.75
    images = {
        NodeRoles.EXPECTED: head.image + 2, NodeRoles.SPREAD: chance * 4, NodeRoles.ENHANCEMENT: chance,
        NodeRoles.SAMPLE: head.image + 5,
    }  # fmt: skip
    nodes = {NodeRoles.PREDICTED: result}
    for role, image in images.items():
        SimpleITK.WriteImage(image, tmp_path / f"{role}.nrrd")
        node = nodes[role] = slicer.util.loadVolume(str(tmp_path / f"{role}.nrrd"), {"name": f"SYNTHETIC {role}"})
        for name, value in ((NodeRoles.SYNTHETIC, "1"), (NodeRoles.ROLE, role), (NodeRoles.RUN, "r")):
            node.SetAttribute(name, value)
        node.SetNodeReferenceID(NodeRoles.INPUT_VOLUME, volume.GetID())
    nodes[NodeRoles.ENHANCEMENT].SetAttribute(NodeRoles.VOLUME_SHOWN, "1")
    for node in nodes.values():
        slicer.mrmlScene.GetSubjectHierarchyNode().SetItemParent(item(node), folder)
    return nodes


def item(node) -> int:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


def exported(plugin, node, folder, **tags) -> tuple[str, list[pydicom.Dataset]]:
    exportables = plugin.examineForExport(item(node))
    for exportable in exportables:
        exportable.directory = str(folder)
        for name, value in tags.items():
            exportable.setTag(name, value)
    problem = plugin.export(exportables)
    return problem, [pydicom.dcmread(path) for path in sorted(Path(folder).rglob("*.dcm"))]


def test_it_is_offered_for_generated_volumes_alone_and_first(plugin, volumes):
    volume, result = volumes
    assert plugin.examineForExport(item(volume)) == []
    (exportable,) = plugin.examineForExport(item(result))
    assert exportable.pluginClass in slicer.modules.dicomPlugins
    assert exportable.confidence > 0.5
    assert exportable.tag("SeriesDescription").startswith("SYNTHETIC")
    assert exportable.tag("Modality") == "MR"


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
    # Slicer removes no folders from the one that files take to its database.
    assert all(path.is_file() and "Doe" not in path.name for path in (tmp_path / "out").iterdir())
    back = SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
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


def test_a_second_export_into_a_folder_replaces_nothing(plugin, volumes, tmp_path):
    for times in (1, 2):
        problem, datasets = exported(plugin, volumes[1], tmp_path / "out")
        assert problem == ""
        assert len({dataset.SOPInstanceUID for dataset in datasets}) == 8 * times


def test_a_probability_becomes_a_map_and_regions_for_planning_systems(plugin, head, run, tmp_path):
    problem, datasets = exported(plugin, run[NodeRoles.ENHANCEMENT], tmp_path / "out")
    assert problem == ""
    found = {dataset.Modality: dataset for dataset in datasets}
    assert sorted(found) == ["OT", "RTSTRUCT", "SEG"]
    for dataset in datasets:
        assert (dataset.SyntheticData, dataset.PatientID) == ("YES", head.header.PatientID)
        assert dataset.StudyInstanceUID == head.header.StudyInstanceUID
    assert [item.ROIName for item in found["RTSTRUCT"].StructureSetROISequence] == ["SYNTHETIC predicted enhancement"]
    values = np.sort(np.unique(found["OT"].pixel_array))
    np.testing.assert_allclose(values, [0, 0.75])
    # Read back as GTVs they are the mask; as they are synthetic, only if nothing says so.
    for modality in ("SEG", "RTSTRUCT"):
        dataset = found[modality]
        dataset.SyntheticData, dataset.Manufacturer = "NO", "other"
        dataset.save_as(tmp_path / f"{modality}.dcm")
        case = load_case(head.folder, tmp_path / f"{modality}.dcm", gtv_labels=("SYNTHETIC predicted enhancement",))
        np.testing.assert_array_equal(*map(SimpleITK.GetArrayFromImage, (case.gtv, head.gtv)))


def test_a_region_whose_volume_is_withheld_is_not_offered(plugin, run):
    node = run[NodeRoles.ENHANCEMENT]
    node.RemoveAttribute(NodeRoles.VOLUME_SHOWN)
    assert [found.tag("Modality") for found in plugin.examineForExport(item(node))] == ["OT"]


def test_no_region_is_offered_where_nothing_is_likely_to_enhance(plugin, run):
    node = run[NodeRoles.ENHANCEMENT]
    slicer.util.arrayFromVolume(node)[:] *= 0.5
    assert [found.tag("Modality") for found in plugin.examineForExport(item(node))] == ["OT"]


def test_maps_of_an_input_that_was_no_dicom_are_series(plugin, volumes, run, tmp_path):
    volumes[0].RemoveAttribute("DICOM.instanceUIDs")
    problem, datasets = exported(plugin, run[NodeRoles.ENHANCEMENT], tmp_path / "out", PatientID="P7")
    assert problem == ""
    assert {(one.Modality, one.SyntheticData, one.PatientID) for one in datasets} == {("MR", "YES", "P7")}
    assert len(datasets) == 8


def test_a_whole_prediction_is_offered_after_the_volume_and_is_what_the_command_writes(plugins, run, head, tmp_path):
    whole = plugins[RUN_PLUGIN]
    offered = whole.examineForExport(item(run[NodeRoles.SPREAD]))
    assert {found.confidence < plugins[PLUGIN].confidence for found in offered} == {True}
    assert {found.pluginClass for found in offered} == {RUN_PLUGIN}
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert len({hierarchy.GetItemParent(found.subjectHierarchyItemID) for found in offered}) == 1  # as the dialog asks
    problem, datasets = exported(whole, run[NodeRoles.SPREAD], tmp_path / "out")
    assert problem == ""
    series = {dataset.SeriesNumber: (dataset.Modality, dataset.SeriesDescription) for dataset in datasets}
    assert [series[number] for number in sorted(series)] == [
        ("MR", "SYNTHETIC expected follow-up T1-Gd (average)"),
        ("MR", "SYNTHETIC possible follow-up T1-Gd"),
        ("OT", "SYNTHETIC SD of the samples"),
        ("OT", "SYNTHETIC probability of enhancement"),
        ("SEG", "SYNTHETIC predicted enhancement"),
        ("RTSTRUCT", "SYNTHETIC predicted enhancement"),
    ]
    assert {dataset.StudyInstanceUID for dataset in datasets} == {head.header.StudyInstanceUID}
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 6


def test_series_of_several_classes_name_theirs(plugins, run):
    for name in (NodeRoles.PREDICTED, NodeRoles.EXPECTED):
        run[name].SetAttribute(NodeRoles.CLASS, "short")
    offered = plugins[RUN_PLUGIN].examineForExport(item(run[NodeRoles.EXPECTED]))
    said = [found.tag("SeriesDescription") for found in offered]
    assert "SYNTHETIC expected follow-up T1-Gd (average), class short" in said


def test_a_modality_that_a_generated_volume_cannot_have_is_refused(plugin, volumes, tmp_path):
    problem, datasets = exported(plugin, volumes[1], tmp_path / "out", Modality="CT")
    assert "cannot have the modality 'CT'" in problem
    assert datasets == []


def test_a_package_that_is_missing_in_slicer_is_named_with_what_to_type(plugin, volumes, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "PythonSlicer"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho The package highdicom is needed. >&2\nexit 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    problem, _ = exported(plugin, volumes[1], tmp_path / "out")
    assert problem.startswith("The package highdicom is needed.")
    assert "slicer.util.pip_install('highdicom')" in problem


def test_the_module_registers_it_when_slicer_has_started(session, monkeypatch):
    monkeypatch.setattr(slicer.modules, "dicomPlugins", {}, raising=False)
    import GBMResponse

    GBMResponse.onStartupCompleted()
    assert {PLUGIN, RUN_PLUGIN} <= set(slicer.modules.dicomPlugins)
