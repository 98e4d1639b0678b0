"""Cohorts of phantoms, from files to a slice store. In-plane 2.2 mm and a matrix of 96 keep it fast."""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from fake_cfb_gbm import Patient, write_tables
from GBMResponseCore.errors import MissingPackageError, OptionError, OutputFolderError
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings, fit_scale
from last_rename import code_without_the_last_folder

from GBMResponseTraining.cli import main
from GBMResponseTraining.datasets.errors import DatasetError
from GBMResponseTraining.datasets.pair import PairSource, Skipped
from GBMResponseTraining.datasets.public.cfb_gbm import read_cfb_gbm
from GBMResponseTraining.store import importer, skull_strip, slice_store
from GBMResponseTraining.store.contact_sheet import write_contact_sheet
from GBMResponseTraining.store.importer import import_pairs
from GBMResponseTraining.store.preparation import AlignmentRule
from GBMResponseTraining.store.reports import label_summary

GRID = ((80, 90, 20), (2.2, 2.2, 6.5))
RULE = InPlaneRule(size=96, native_spacing_mm=(1.0, 3.0))
NORMALIZATION = NormalizationSettings()


def with_labels(mask: sitk.Image) -> sitk.Image:
    """A mask with label 1 in its right half and 2 in its left half."""
    voxels = sitk.GetArrayFromImage(mask)
    middle = int(np.argwhere(voxels)[:, 2].mean())
    voxels[:, :, middle + 1 :] *= 2
    result = sitk.GetImageFromArray(voxels)
    result.CopyInformation(mask)
    return result


@pytest.fixture(scope="module")
def images() -> dict[str, sitk.Image]:
    """Volumes that the patients of this file share."""
    pre = phantoms.head(*GRID)
    post = sitk.Cast(0.8 * sitk.Cast(pre, sitk.sitkFloat32) + 3, sitk.sitkInt16)
    gtv = phantoms.gtv(*GRID)
    movement = sitk.Euler3DTransform((0, 0, 0), 0.03, -0.05, 0.1, (6, -8, 5))
    elsewhere = phantoms.empty((90, 96, 30), (2.2, 2.2, 5))
    noise = np.random.default_rng(0).integers(0, 900, GRID[0][::-1]).astype(np.int16)
    other = sitk.GetImageFromArray(noise)
    other.CopyInformation(pre)
    return {
        "pre": pre,
        "post": post,
        "dim": sitk.Cast(0.8 * sitk.Cast(pre, sitk.sitkFloat32), sitk.sitkInt16),
        "gtv": gtv,
        "moved": sitk.Resample(post, elsewhere, movement.GetInverse(), sitk.sitkLinear, 0),
        "noise": other,
        "ct": sitk.Cast(pre, sitk.sitkInt16) - 1000,
        "low": post[:, :, :9],
        "empty": gtv * 0,
        "labels": with_labels(gtv),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images) -> Path:
    """The volumes as files, and two files that are no volumes."""
    folder = tmp_path_factory.mktemp("images")
    for name, image in images.items():
        sitk.WriteImage(image, folder / f"{name}.nii.gz")
    content = (folder / "post.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    return folder


def pair_of(folder: Path, patient: str, post="post", gtv="gtv", survival: float | None = 400.0, **more) -> PairSource:
    paths = [folder / f"{name}.nii.gz" for name in ("pre", post, gtv)]
    return PairSource(patient, *paths, survival_days=survival, **more)


BAD = {
    "cut": ({"post": "cut"}, "unreadable-file"),
    "empty": ({"gtv": "empty"}, "empty-gtv"),
    "gone": ({"post": "nowhere"}, "missing-file"),
    "alive": ({"survival": None}, "no-survival"),
    "same": ({"post": "pre"}, "same-image"),
    "noise": ({"post": "noise"}, "bad-registration"),
    "ct": ({"post": "ct"}, "not-mr"),
    "low": ({"post": "low"}, "follow-up-coverage"),
    "label": ({"gtv": "labels", "gtv_labels": (7,)}, "empty-gtv"),
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, folder):
    """Result of importing three good patients and many bad ones."""
    pairs = [
        pair_of(folder, "P10", interval_days=98.0, extra={"site": "A"}),
        pair_of(folder, "P9", post="moved", survival=200.0, censored=True),
        pair_of(folder, "P11", gtv="labels", gtv_labels=(2,), survival=50.0, interval_days=60.0),
        *[pair_of(folder, name, **change) for name, (change, _) in BAD.items()],
        pair_of(folder, "D1"),
        pair_of(folder, "d01"),
    ]
    ruled_out = [Skipped("P2", "no-follow-up", "There is no T1-Gd at t1.")]
    return import_pairs(pairs, tmp_path_factory.mktemp("store"), RULE, NORMALIZATION, skipped=ruled_out)


@pytest.fixture(scope="module")
def store(cohort):
    return slice_store.open_store(cohort.folder)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record_of(store, patient: str) -> dict:
    return next(record for record in store.patients if record["id"] == patient)


def slices_of(store, patient: str) -> np.ndarray:
    return store.patient == [record["id"] for record in store.patients].index(patient)


# What is in the store


def test_good_patients_are_imported_in_natural_order(cohort, store):
    assert cohort.imported == ["P9", "P10", "P11"]
    assert [record["id"] for record in store.patients] == cohort.imported
    assert [row["patient"] for row in rows(cohort.folder / "imported.csv")] == cohort.imported


def test_slices_are_those_a_prediction_would_see(store, images):
    own = slices_of(store, "P10")
    grid = StackGrid.for_image(images["pre"], RULE)
    gtv = grid.to_stack(images["gtv"], label=True)
    chosen = gtv.any(axis=(1, 2))
    assert np.array_equal(store.gtv[own], gtv[chosen])
    for stack, image in ((store.pre, images["pre"]), (store.post, images["post"])):
        expected = fit_scale(sitk.GetArrayFromImage(image), NORMALIZATION).normalize(grid.to_stack(image)[chosen])
        assert np.array_equal(stack[own], expected.astype(np.float16))
    assert record_of(store, "P10")["slice_positions_mm"] == grid.slice_positions_mm[chosen].tolist()


def test_every_slice_holds_gtv(store):
    assert store.gtv.any(axis=(1, 2)).all()


def test_record(store):
    record = record_of(store, "P10")
    assert (record["survival_days"], record["censored"], record["interval_days"]) == (400, False, 98)
    assert (record["mode"], record["registered"], record["site"]) == ("exact", False, "A")
    assert record["spacing_mm"] == pytest.approx(2.2)
    assert record["stack_spacing_mm"] == pytest.approx([2.2, 2.2, 6.5])
    assert record["correlation_before"] == record["correlation_after"] > 0.99
    assert record["notes"] == []
    assert set(record["sources"]) == {"image", "GTV", "follow-up"}
    assert len(record["sources"]["GTV"]["sha256"]) == 64
    assert store.survival_days.min() == 50


def test_the_person_behind_a_visit_is_stored(tmp_path, folder):
    pairs = [pair_of(folder, "P07_t1"), pair_of(folder, "P7_t2"), pair_of(folder, "P8", extra={"person": "p7"})]
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    assert [record["person"] for record in slice_store.read_patients(tmp_path)] == ["p7", "p7", "p7"]


def test_a_follow_up_on_another_grid_is_registered(store):
    record, still, moved = record_of(store, "P9"), slices_of(store, "P10"), slices_of(store, "P9")
    assert record["registered"] and record["censored"]
    assert record["correlation_before"] < 0.8 < 0.95 < record["correlation_after"]
    # The two volumes have different percentiles, hence scales: gain and offset are fitted.
    head = store.pre[still] > -0.9
    true, found = store.post[still][head].astype(float), store.post[moved][head].astype(float)
    assert np.abs(np.polyval(np.polyfit(found, true, 1), found) - true).mean() < 0.07


def test_only_the_labels_asked_for_are_gtv(store):
    record = record_of(store, "P11")
    assert set(record["gtv_labels"]) == {"1", "2"}
    assert 0.3 < record["gtv_volume_ml"] / record_of(store, "P10")["gtv_volume_ml"] < 0.7
    left, whole = store.gtv[slices_of(store, "P11")], store.gtv[slices_of(store, "P10")]
    assert np.argwhere(left)[:, 2].mean() > np.argwhere(whole)[:, 2].mean()


def test_time_since_radiotherapy(tmp_path, folder):
    pairs = [
        pair_of(folder, "A", interval_days=98.0, radiotherapy_days=21.0),
        pair_of(folder, "B", interval_days=98.0),
        pair_of(folder, "C", radiotherapy_days=21.0),
    ]
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    assert [record["days_since_rt"] for record in slice_store.read_patients(tmp_path)] == [77, None, None]


def test_volume_of_the_follow_up_gtv(tmp_path, folder, images):
    pairs = [
        pair_of(folder, "A", post_gtv=folder / "gtv.nii.gz"),
        pair_of(folder, "B", post_gtv=folder / "empty.nii.gz"),
        pair_of(folder, "C", post_gtv=folder / "cut.nii.gz"),
        pair_of(folder, "D", gtv="labels", gtv_labels=(2,), post_gtv=folder / "labels.nii.gz"),
        pair_of(folder, "E"),
    ]
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    records = {record["id"]: record for record in slice_store.read_patients(tmp_path)}
    assert records["A"]["post_gtv_volume_ml"] == pytest.approx(records["A"]["gtv_volume_ml"], abs=1e-3)
    assert records["B"]["post_gtv_volume_ml"] == 0
    assert records["C"]["post_gtv_volume_ml"] is None
    assert [note["code"] for note in records["C"]["notes"]] == ["post-gtv"]
    assert records["D"]["post_gtv_volume_ml"] == pytest.approx(records["D"]["gtv_volume_ml"], abs=1e-3)
    assert records["E"]["post_gtv_volume_ml"] is None


def test_labels_are_recorded_with_names_and_signals(tmp_path, folder, images):
    names = {1: "right half", 2: "left half"}
    import_pairs(
        [pair_of(folder, "A", gtv="labels", gtv_labels=(2,), label_names=names)], tmp_path, RULE, NORMALIZATION
    )
    records = slice_store.read_patients(tmp_path)
    assert records[0]["gtv_label_names"] == {"1": "right half", "2": "left half"}
    assert records[0]["gtv_labels_used"] == [2]
    assert set(records[0]["gtv_label_signal"]) == {"1", "2"}
    voxels = sitk.GetArrayFromImage(images["pre"])
    head = voxels[voxels > voxels.mean()].mean()
    left = voxels[sitk.GetArrayFromImage(images["labels"]) == 2].mean()
    assert records[0]["gtv_label_signal"]["2"] == pytest.approx(left / head, abs=2e-3)
    printed = label_summary(records).splitlines()
    count = records[0]["gtv_labels"]["2"]
    assert printed[2] == f"  2 = left half: {count} voxels, T1-Gd signal {left / head:.2f} of the head's, GTV"
    assert not printed[1].endswith("GTV")


# Skulls


def test_skulls_are_stripped_with_the_mask_of_the_data_set(tmp_path, folder, images):
    mask = phantoms.gtv(*GRID, radius_mm=45, at=(0, 0, 0))
    sitk.WriteImage(mask, tmp_path / "brain.nii.gz")
    pairs = [
        pair_of(folder, "A", brain_mask=tmp_path / "brain.nii.gz"),
        pair_of(folder, "B", post="moved", brain_mask=tmp_path / "brain.nii.gz"),
    ]
    import_pairs(pairs, tmp_path / "store", RULE, NORMALIZATION, skull_strip=True)
    store = slice_store.open_store(tmp_path / "store")
    grid = StackGrid.for_image(images["pre"], RULE)
    brain = grid.to_stack(mask, label=True)[grid.to_stack(images["gtv"], label=True).any(axis=(1, 2))]
    for patient in "AB":
        own = slices_of(store, patient)
        assert record_of(store, patient)["skull_strip"]
        assert (store.pre[own][~brain] == -1).all()
        assert (store.pre[own][brain] > -1).mean() > 0.95
        assert (store.post[own][~brain] == -1).all()
        assert (store.post[own][brain] > -1).mean() > 0.95


def test_other_skull_settings_redo_everything(tmp_path, folder, prepared):
    sitk.WriteImage(phantoms.gtv(*GRID, radius_mm=45, at=(0, 0, 0)), tmp_path / "brain.nii.gz")
    pairs = [pair_of(folder, "A", brain_mask=tmp_path / "brain.nii.gz")]
    for stripped in (False, True, True):
        import_pairs(pairs, tmp_path / "store", RULE, NORMALIZATION, skull_strip=stripped)
    assert prepared == ["A", "A"]


def test_without_deepbet_the_import_stops_and_names_the_command(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepbet", None)
    skull_strip._deepbet.cache_clear()
    with pytest.raises(MissingPackageError, match="pip install deepbet --no-deps"):
        import_pairs([pair_of(folder, "A")], tmp_path, RULE, NORMALIZATION, skull_strip=True)


def test_a_brain_mask_elsewhere(tmp_path, folder):
    far = phantoms.gtv(*GRID, radius_mm=10, at=(0, 0, 0))
    far.SetOrigin((900, 900, 900))
    sitk.WriteImage(far, tmp_path / "brain.nii.gz")
    pairs = [pair_of(folder, "A", brain_mask=tmp_path / "brain.nii.gz"), pair_of(folder, "B")]
    with pytest.raises(DatasetError):
        import_pairs(pairs[:1], tmp_path / "store", RULE, NORMALIZATION, skull_strip=True)
    assert rows(tmp_path / "store" / "skipped.csv")[0]["code"] == "brain-mask"


def test_survival_shorter_than_the_interval_is_noted(store, cohort):
    assert [note["code"] for note in record_of(store, "P11")["notes"]] == ["survival-before-follow-up"]
    assert "Survival is shorter" in rows(cohort.folder / "imported.csv")[2]["notes"]


# What is reported


def test_every_bad_patient_is_reported_with_its_reason(cohort):
    found = {item.patient: item.code for item in cohort.skipped}
    expected = {name: code for name, (_, code) in BAD.items()}
    assert found == {**expected, "P2": "no-follow-up", "D1": "duplicate-patient", "d01": "duplicate-patient"}
    assert all(item.reason.endswith(".") for item in cohort.skipped)
    written = rows(cohort.folder / "skipped.csv")
    assert [(row["patient"], row["code"]) for row in written] == [(i.patient, i.code) for i in cohort.skipped]
    assert next(row for row in written if row["patient"] == "cut")["remedy"]


def test_contact_sheet(cohort):
    sheet = sitk.GetArrayFromImage(sitk.ReadImage(str(cohort.folder / "contact_sheet.png")))
    assert sheet.shape[0] > 3 * 200
    assert len(np.unique(sheet)) > 50


def test_no_temporary_files_are_left(cohort):
    assert not [path for path in cohort.folder.rglob("*") if "partial" in path.name]


# Choices


def test_bad_registration_can_be_kept(tmp_path, folder):
    alignment = AlignmentRule("never", keep_bad=True)
    result = import_pairs([pair_of(folder, "noise", post="noise")], tmp_path, RULE, NORMALIZATION, alignment)
    record = slice_store.read_patients(result.folder)[0]
    assert [note["code"] for note in record["notes"]] == ["bad-registration"]
    assert not record["registered"]


def test_patients_without_survival_can_be_kept(tmp_path, folder):
    pairs = [pair_of(folder, "alive", survival=None)]
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION, require_survival=False)
    assert slice_store.read_patients(tmp_path)[0]["survival_days"] is None


@pytest.mark.parametrize(("same_scan", "gain"), [(False, 1.0), (True, 0.8)])
def test_images_of_the_same_scan_have_one_scale(tmp_path, folder, same_scan, gain):
    """The follow-up is 0.8 times as bright: with a scale of its own that cannot be seen."""
    alignment = AlignmentRule(same_scan=same_scan)
    result = import_pairs([pair_of(folder, "P1", post="dim")], tmp_path, RULE, NORMALIZATION, alignment)
    store = slice_store.open_store(result.folder)
    pre, post = (np.asarray(part, np.float32) + 1.0 for part in (store.pre, store.post))
    inside = (pre > 0.5) & (pre < 1.5)
    assert np.median(post[inside] / pre[inside]) == pytest.approx(gain, abs=0.02)


def test_unknown_way_to_register():
    with pytest.raises(OptionError, match="sometimes"):
        AlignmentRule("sometimes")


def test_no_usable_patient_still_leaves_a_report(tmp_path, folder):
    with pytest.raises(DatasetError, match=r"skipped\.csv"):
        import_pairs([pair_of(folder, "empty", gtv="empty")], tmp_path, RULE, NORMALIZATION)
    assert rows(tmp_path / "skipped.csv")[0]["code"] == "empty-gtv"
    assert not (tmp_path / "patients.json").exists()


# Interruptions


@pytest.fixture
def prepared(monkeypatch):
    """Ids of the patients whose images were read; `stop_at` interrupts before that one."""

    class Calls(list):
        stop_at = None

    calls, original = Calls(), importer.prepare_pair

    def prepare(pair, *rest):
        if pair.patient == calls.stop_at:
            raise KeyboardInterrupt
        calls.append(pair.patient)
        return original(pair, *rest)

    monkeypatch.setattr(importer, "prepare_pair", prepare)
    return calls


def test_an_interrupted_import_continues(tmp_path, folder, prepared):
    pairs = [pair_of(folder, name) for name in ("A", "B", "C")]
    prepared.stop_at = "C"
    with pytest.raises(KeyboardInterrupt):
        import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    assert not (tmp_path / "patients.json").exists()
    prepared.stop_at = None
    assert import_pairs(pairs, tmp_path, RULE, NORMALIZATION).imported == ["A", "B", "C"]
    assert prepared == ["A", "B", "C"]


def test_only_changed_patients_are_redone(tmp_path, folder, prepared):
    pairs = [pair_of(folder, name) for name in ("A", "B")]
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    before = (tmp_path / "pre.npy").read_bytes()
    damaged = next((tmp_path / "parts").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:100])
    prepared.clear()
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    assert len(prepared) == 1
    assert (tmp_path / "pre.npy").read_bytes() == before

    prepared.clear()
    pairs[1] = pair_of(folder, "B", survival=7.0)
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    assert prepared == ["B"]
    assert slice_store.open_store(tmp_path).patients[1]["survival_days"] == 7


def test_other_settings_redo_everything(tmp_path, folder, prepared):
    pairs = [pair_of(folder, "A")]
    import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    import_pairs(pairs, tmp_path, RULE, NormalizationSettings(kind="max"))
    assert prepared == ["A", "A"]


def test_a_full_disk_stops_the_import_and_leaves_no_store(tmp_path, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slice_store, "write_array", full)
    with pytest.raises(OutputFolderError, match="No space left"):
        import_pairs([pair_of(folder, "A")], tmp_path, RULE, NORMALIZATION)
    assert {path.name for path in tmp_path.iterdir()} == {"parts", "imported.csv", "skipped.csv"}
    monkeypatch.undo()

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputFolderError):
        import_pairs([pair_of(folder, "A")], tmp_path / "other", RULE, NORMALIZATION)


def test_a_disk_that_fills_up_keeps_what_is_finished(tmp_path, folder, prepared, monkeypatch):
    original, written = Path.write_bytes, []

    def fill_up(path, content):
        if path.parent.name == "parts" and len(content) > 100:
            if written:
                original(path, content[:50])
                raise OSError(28, "No space left on device")
            written.append(path)
        return original(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    pairs = [pair_of(folder, name) for name in ("A", "B")]
    with pytest.raises(OutputFolderError):
        import_pairs(pairs, tmp_path, RULE, NORMALIZATION)
    assert [path.suffix for path in (tmp_path / "parts").iterdir()] == [".npz"]
    monkeypatch.undo()
    prepared.clear()
    assert import_pairs(pairs, tmp_path, RULE, NORMALIZATION).imported == ["A", "B"]


def test_an_unexpected_failure_concerns_one_patient(tmp_path, folder, monkeypatch):
    original = importer.prepare_pair

    def fail(pair, *rest):
        if pair.patient == "A":
            raise ZeroDivisionError("why")
        return original(pair, *rest)

    monkeypatch.setattr(importer, "prepare_pair", fail)
    result = import_pairs([pair_of(folder, name) for name in ("A", "B")], tmp_path, RULE, NORMALIZATION)
    assert result.imported == ["B"]
    assert "ZeroDivisionError: why" in result.skipped[0].reason


# Stores


def test_parts_and_arrays_give_the_same_store(tmp_path):
    rng = np.random.default_rng(0)
    stacks = [(rng.normal(size=(n, 8, 8)), rng.normal(size=(n, 8, 8)), rng.random((n, 8, 8)) > 0.5) for n in (2, 3)]
    patients = [{"id": name, "survival_days": 1.0} for name in "ab"]
    parts = [tmp_path / f"{record['id']}.npz" for record in patients]
    for part, stack, record in zip(parts, stacks, patients, strict=True):
        slice_store.write_part(part, *stack, record)
    slice_store.collect_parts(tmp_path / "parts", parts)
    arrays = [np.concatenate(column) for column in zip(*stacks, strict=True)]
    slice_store.write_store(tmp_path / "arrays", *arrays, np.array([0, 0, 1, 1, 1]), patients)
    for name in (*(f"{array}.npy" for array in slice_store.ARRAYS), "patients.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "arrays" / name).read_bytes()
    store = slice_store.open_store(tmp_path / "parts")
    assert [array.dtype for array in (store.pre, store.gtv, store.patient)] == [np.float16, np.uint8, np.int32]
    assert np.array_equal(store.post, arrays[1].astype(np.float16))
    assert store.patient.tolist() == [0, 0, 1, 1, 1]


def test_a_store_needs_arrays_of_one_length(tmp_path):
    stack = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match="one length"):
        slice_store.write_store(tmp_path, stack, stack, stack, np.zeros(3), [])


# Commands


def test_command_imports_a_cfb_gbm_tree(tmp_path, images, capsys):
    write_tables(tmp_path, [Patient(3), Patient(15, "30", "9"), Patient(21, delay="30"), Patient(40, t1=0)])
    for number in (3, 15):
        visits = (("t0_t1gd", "pre"), ("t1_t1gd", "post"), ("t0_gtv", "labels"))
        for name, image in visits:
            path = tmp_path / "data" / f"{number:03d}" / name[:2] / f"{number}_{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(images[image], path)
    out = tmp_path / "store"
    assert main(["import", "cfb-gbm", str(tmp_path), str(out), "--max-weeks", "26"]) == 0
    printed = capsys.readouterr().out
    assert "Imported: 2\nSkipped: 2\n" in printed
    assert str(out) in printed
    assert [(row["patient"], row["code"]) for row in rows(out / "skipped.csv")] == [
        ("21", "interval"),
        ("40", "no-follow-up"),
    ]
    store = slice_store.open_store(out)
    assert store.pre.shape[1:] == (256, 256)
    assert [record["survival_days"] for record in store.patients] == [350, 210]
    assert [note["code"] for note in store.patients[0]["notes"]] == ["gtv-labels"]
    assert read_cfb_gbm(tmp_path)[1][0].patient == "40"


def test_commands_import_a_folder_and_split_it(tmp_path, folder, capsys):
    lines = ["patient,pre,post,gtv,survival_days"]
    lines += [f"P{number},pre.nii.gz,post.nii.gz,gtv.nii.gz,{100 * number}" for number in range(1, 4)]
    table = folder / "cohort.csv"
    table.write_text("\n".join(lines))
    assert main(["import", "folder", str(table), str(tmp_path / "store")]) == 0
    assert main(["split", str(tmp_path / "store")]) == 0
    printed = capsys.readouterr().out
    assert "train: 1\nvalidation: 1\ntest: 1\n" in printed
    assert {row["split"] for row in rows(tmp_path / "store" / "patient_split.csv")} == {"train", "validation", "test"}


def test_a_split_that_is_gone_at_the_end_is_an_error(tmp_path, folder, monkeypatch, capsys):
    lines = [f"P{number},pre.nii.gz,post.nii.gz,gtv.nii.gz,{100 * number}" for number in range(1, 4)]
    (folder / "cohort.csv").write_text("\n".join(["patient,pre,post,gtv,survival_days", *lines]))
    assert main(["import", "folder", str(folder / "cohort.csv"), str(tmp_path / "store")]) == 0

    def split(word):
        return main(["split", str(shutil.copytree(tmp_path / "store", tmp_path / word))])

    assert code_without_the_last_folder(monkeypatch, split) == OutputFolderError.exit_code
    assert "was written and is not there any more" in capsys.readouterr().err


def test_options_of_the_match_reach_the_import(tmp_path, folder, monkeypatch):
    found = []

    def stop(pairs, out, rule, normalization, alignment, *_, **more):
        found.append((alignment, more))
        raise DatasetError("Enough.")

    monkeypatch.setattr(importer, "import_pairs", stop)
    table = tmp_path / "cohort.csv"
    table.write_text(
        f"patient,pre,post,gtv,survival_days\nA,{folder}/pre.nii.gz,{folder}/post.nii.gz,{folder}/gtv.nii.gz,9\n"
    )
    command = ["import", "folder", str(table), str(tmp_path / "store")]
    assert main(command) == DatasetError.exit_code
    assert main([*command, "--register", "never", "--lowest-correlation", "0.3", "--keep-badly-registered",
                 "--skull-strip", "--keep-unknown-survival"]) == DatasetError.exit_code  # fmt: skip
    assert found == [
        (AlignmentRule(), {"require_survival": True, "skull_strip": False}),
        (
            AlignmentRule("never", lowest_correlation=0.3, keep_bad=True),
            {"require_survival": False, "skull_strip": True},
        ),
    ]


def test_commands_end_in_exit_codes(tmp_path, capsys):
    assert main(["import", "folder", str(tmp_path / "none.csv"), str(tmp_path / "out")]) == 10
    assert main(["import", "cfb-gbm", str(tmp_path), str(tmp_path / "out")]) == DatasetError.exit_code
    assert main(["split", str(tmp_path)]) == 10
    assert "Error (dataset): There is no table" in capsys.readouterr().err


# Contact sheets


def test_many_patients_make_several_pages(tmp_path):
    count = 31
    stack = np.zeros((count, 16, 16))
    gtv = stack.copy()
    gtv[:, 4:9, 5:11] = 1
    record = {"survival_days": 1.0, "correlation_after": 1.0, "registered": False, "interval_days": None}
    patients = [{**record, "id": str(number)} for number in range(count)]
    slice_store.write_store(tmp_path, stack - 1, stack, gtv, np.arange(count), patients)
    files = write_contact_sheet(slice_store.open_store(tmp_path), tmp_path / "contact_sheet.png")
    assert [path.name for path in files] == ["contact_sheet.png", "contact_sheet_02.png"]
    heights = [sitk.ReadImage(str(path)).GetHeight() for path in files]
    assert heights[0] > 20 * heights[1]
