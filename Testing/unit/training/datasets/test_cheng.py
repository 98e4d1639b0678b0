"""Cheng's slices: real JPEG files, loose and packed, through the importer."""

import io
import tarfile

import numpy as np
import pytest
from GBMResponseCore.errors import MissingFileError
from PIL import Image
from small_store import write_small_store

from GBMResponseTraining import cli
from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.public.cheng import GUARD, HELD_OUT, read_images, read_index
from GBMResponseTraining.store.slice_store import SINGLE_IMAGES, open_store
from GBMResponseTraining.store.splits import read_split

HEADER = "cheng_index,width,height,x0,y0,x1,y1,lr_symmetry,bottom_foreground"
FIRST, LAST = HELD_OUT[0]
TRAINED, TESTED, NEAR, SAGITTAL = 209, FIRST, FIRST - GUARD + 1, 400


def row(number, symmetry=0.85, foreground=0.0):
    return f"{number},512,512,300,200,340,260,{symmetry},{foreground}"


def picture(number, side=512):
    """JPEG of a head with a bright tumor in the box of :func:`row`; how bright tells the number."""
    y, x = np.mgrid[:side, :side]
    head = np.hypot((x - 256) / 180, (y - 256) / 200) < 1
    tumor = (x >= 300) & (x < 340) & (y >= 200) & (y < 260)
    pixels = np.where(tumor, 250, np.where(head, 60 + number % 50, 4)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """One slice to train on and one beside the held-out range, loose; one held out and one sagittal, packed."""
    folder = tmp_path / "cheng"
    folder.mkdir()
    lines = [HEADER, row(TRAINED), row(TESTED), row(NEAR), row(SAGITTAL, symmetry=0.5)]
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for number in (TRAINED, NEAR):
        (folder / f"{number:04d}.jpg").write_bytes(picture(number))
    with tarfile.open(folder / "slices.tar", "w") as archive:
        for number in (TESTED, SAGITTAL):
            member = tarfile.TarInfo(f"inner/{number:04d}.jpg")
            member.size = len(picture(number))
            archive.addfile(member, io.BytesIO(picture(number)))
    return folder


def run(folder, out, *words):
    return cli.main(["import", "cheng", str(folder), str(out), *words])


def test_slices_to_train_on_are_axial_and_far_from_the_held_out_ones(folder):
    chosen, skipped = read_index(folder)
    assert [item.number for item in chosen] == [TRAINED]
    assert {item.patient: item.code for item in skipped} == {str(NEAR): "near-held-out", str(SAGITTAL): "not-axial"}


def test_held_out_slices_are_those_of_the_ranges(folder):
    assert [item.number for item in read_index(folder, held_out=True)[0]] == [TESTED]


def test_no_block_of_numbers_is_both_trained_on_and_held_out(tmp_path):
    lines = [HEADER, *map(row, range(1, 3065))]
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    trained, tested = ({item.block for item in read_index(tmp_path, held_out)[0]} for held_out in (False, True))
    assert trained and tested and trained.isdisjoint(tested)


def test_slices_on_either_side_of_a_held_out_range_are_twenty_numbers_away(tmp_path):
    lines = [HEADER, *map(row, range(1, 3065))]
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    trained, tested = ([item.number for item in read_index(tmp_path, held_out)[0]] for held_out in (False, True))
    assert min(abs(number - other) for number in trained for other in tested) == 20


@pytest.mark.parametrize("held_out", [False, True])
def test_a_slice_is_read_loose_or_from_an_archive(folder, held_out):
    chosen, _ = read_index(folder, held_out)
    (image,) = read_images(folder, chosen)
    assert image.shape == (512, 512)
    assert abs(float(np.median(image[256, 100:200])) - (60 + chosen[0].number % 50)) <= 2


def test_a_file_may_be_named_after_its_class(folder):
    (folder / f"{TRAINED:04d}.jpg").rename(folder / f"glioma_{TRAINED:04d}.jpg")
    assert len(list(read_images(folder, read_index(folder)[0]))) == 1


def test_a_class_of_the_index_is_kept(folder):
    (folder / "index.csv").write_text(f"{HEADER},class\n{row(TRAINED)},pituitary\n", encoding="utf-8")
    assert read_index(folder)[0][0].block == "cheng-pituitary-0200"


def test_a_missing_slice_is_named(folder):
    (folder / f"{TRAINED:04d}.jpg").unlink()
    with pytest.raises(MissingFileError, match=r"0209\.jpg"):
        list(read_images(folder, read_index(folder)[0]))


def test_a_file_that_is_no_jpeg_is_refused(folder):
    (folder / f"{TRAINED:04d}.jpg").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DatasetError, match="no JPEG"):
        list(read_images(folder, read_index(folder)[0]))


def test_a_slice_of_another_size_is_refused(folder):
    (folder / f"{TRAINED:04d}.jpg").write_bytes(picture(TRAINED, side=480))
    with pytest.raises(DatasetError, match="480 x 480"):
        list(read_images(folder, read_index(folder)[0]))


def test_a_broken_archive_is_refused(folder):
    (folder / "slices.tar").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match=r"slices\.tar"):
        list(read_images(folder, read_index(folder)[0]))


def test_an_index_with_a_word_for_a_number_is_refused(folder):
    (folder / "index.csv").write_text(f"{HEADER}\n{row('many')}\n", encoding="utf-8")
    with pytest.raises(TableValueError, match="cheng_index"):
        read_index(folder)


def test_an_index_without_an_axial_slice_is_refused(folder):
    (folder / "index.csv").write_text(f"{HEADER}\n{row(TRAINED, 0.1)}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="No axial slice"):
        read_index(folder)


def test_the_store_holds_images_without_a_follow_up(folder, tmp_path):
    assert run(folder, tmp_path / "store") == 0
    store = open_store(tmp_path / "store")
    assert store.patients[0][SINGLE_IMAGES] is True
    assert np.array_equal(store.pre, store.post)


def test_the_tumor_of_the_store_is_where_the_image_is_bright(folder, tmp_path):
    run(folder, tmp_path / "store", "--size", "128")
    store = open_store(tmp_path / "store")
    image, tumor = np.asarray(store.pre[0], np.float32), np.asarray(store.gtv[0], bool)
    assert image[tumor].mean() > 0.8 > -0.2 > image[~tumor & (image > -0.9)].mean()


def test_the_pixels_of_the_store_have_the_size_of_the_model(folder, tmp_path):
    run(folder, tmp_path / "store")
    image = np.asarray(open_store(tmp_path / "store").pre[0], np.float32)
    across_mm = (image[128] > -0.9).sum() * 0.86
    assert across_mm == pytest.approx(2 * 180 * 0.49, abs=2.0)


def test_what_must_be_said_of_the_images_lies_beside_them(folder, tmp_path):
    run(folder, tmp_path / "store")
    text = (tmp_path / "store" / "SOURCE.md").read_text("utf-8")
    assert "CC BY 4.0" in text and "10.1371/journal.pone.0140381" in text and f"{FIRST} to {LAST}" in text


def test_the_split_of_a_held_out_store_says_test(folder, tmp_path):
    run(folder, tmp_path / "store", "--held-out")
    assert {split for _, split in read_split(tmp_path / "store" / "patient_split.csv")} == {"test"}


def test_slices_to_train_on_are_not_written_over_the_held_out_ones(folder, tmp_path, capsys):
    run(folder, tmp_path / "store", "--held-out")
    assert run(folder, tmp_path / "store") != 0
    assert [split for _, split in read_split(tmp_path / "store" / "patient_split.csv")] == ["test"]


def test_slices_left_out_are_listed_with_the_reason(folder, tmp_path):
    run(folder, tmp_path / "store")
    assert "near-held-out" in (tmp_path / "store" / "skipped.csv").read_text("utf-8")


def test_a_dry_run_writes_nothing(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "store", "--dry-run") == 0
    assert not (tmp_path / "store").exists()
    assert "Slices chosen: 1; left out: 2" in capsys.readouterr().out


def test_a_run_refuses_them_as_its_own_slices(folder, tmp_path, capsys):
    run(folder, tmp_path / "store", "--size", "64")
    words = ["train", "image-autoencoder", "--run", str(tmp_path / "run"), "--store", str(tmp_path / "store")]
    (tmp_path / "store" / "patient_split.csv").write_text("patient,split\ncheng-glioma-0200,train\n", encoding="utf-8")
    assert cli.main([*words, "--preset", "smoke"]) == 50
    assert "without a follow-up" in capsys.readouterr().err


def test_evaluation_refuses_them(folder, tmp_path, capsys):
    from tiny_bundle import write_tiny_bundle

    run(folder, tmp_path / "store", "--size", "64", "--held-out")
    bundle = write_tiny_bundle(tmp_path / "bundle")
    words = ["evaluate", str(tmp_path / "store"), str(tmp_path / "out"), "--model", f"tiny={bundle}:none"]
    assert cli.main(words) != 0
    assert "without a follow-up" in capsys.readouterr().err


def test_the_training_data_of_a_bundle_name_the_data_set(folder, tmp_path):
    from smoke_run import smoke_run

    from GBMResponseTraining.bundles.stage import training_data
    from GBMResponseTraining.stages.training_run import TrainingRun

    run(folder, tmp_path / "extra", "--size", "64")
    store = write_small_store(tmp_path / "store")
    extra = ("--extra-images", str(tmp_path / "extra"))
    assert smoke_run(store, tmp_path / "run", "train", "image-autoencoder", *extra) == 0
    assert "learned 1 slices of the Cheng brain tumor dataset, doi" in training_data(
        TrainingRun.reopen(tmp_path / "run")
    )
