"""The programs that compare segmenters and try the check of unusual input, on a cohort of one patient."""

import csv
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from benchmarks import bench_ceiling, bench_direct, bench_guard, bench_margins, bench_segmenter
from GBMResponseCore.measure.guard import IMAGE_FEATURES
from GBMResponseCore.model.manifest import AUTOENCODER_FEATURES, REBUILT
from rows import nightly
from small_store import SPLIT, write_small_store
from tiny_bundle import write_tiny_bundle
from tools import make_exact_masks

from GBMResponseTraining import cli


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Table of the scans of a simulated patient, with exact masks."""
    folder = tmp_path_factory.mktemp("exact")
    cohort = ["simulate", "1", str(folder / "cohort"), "--anatomies", "phantom", "--slices", "4", "--seed", "3"]
    assert cli.main([*cohort, "--processes", "1"]) == 0
    run(make_exact_masks, folder / "cohort", "phantom", folder / "masks", "--patients", 1)
    return folder / "masks" / "scans.csv"


def run(program, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [program.__name__, *map(str, arguments)])
        program.main()


def test_exact_masks_lie_on_the_images_beside_the_gtv_of_before(masks):
    rows = list(csv.DictReader(masks.open(encoding="utf-8")))
    assert [row["id"] for row in rows] == ["1 t0", "1 t1"]
    assert len({row["gtv"] for row in rows}) == 1
    assert {row["source"] for row in rows} == {make_exact_masks.SOURCE}
    for row in rows:
        image, mask = (sitk.ReadImage(row[name]) for name in ("image", "mask"))
        assert image.GetOrigin() == mask.GetOrigin() and image.GetSize() == mask.GetSize()
        found, levels = (sitk.GetArrayFromImage(entry) for entry in (mask, image))
        assert levels[found > 0].mean() > 1.2 * np.median(levels[levels > levels.max() / 10])


def test_patients_that_are_not_trained_with_have_no_mask(masks, tmp_path):
    (tmp_path / "patient_split.csv").write_text("patient,split\n1,validation\n", "utf-8")
    words = (masks.parents[1] / "cohort", "phantom", tmp_path, "--split", tmp_path / "patient_split.csv")
    with pytest.raises(SystemExit, match="No patient of the cohort is a training patient"):
        run(make_exact_masks, *words)
    assert not (tmp_path / "scans.csv").exists()


def test_scans_of_real_cases_stand_beside_a_contour_of_before(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(make_exact_masks.__file__).parent)
    script = importlib.import_module("real_slices_table")
    for case in script.SEEN:
        (tmp_path / "cases" / case).mkdir(parents=True)
        mask = np.zeros((3, 32, 32), np.uint8)
        mask[1, 8:20, 8:20] = 1
        mask[1, 11:17, 11:17] = 0  # a ring
        for name in ("pre_t1gd", "post_t1gd", "pre_tumour", "post_tumour"):
            sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "cases" / case / f"{name}.nii.gz"))
    script.main(tmp_path / "cases", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "scans.csv").open(encoding="utf-8")))
    assert [row["id"] for row in rows] == [f"{case} {when}" for case in script.SEEN for when in ("pre", "post")]
    assert {row["source"] for row in rows} == {script.SET}
    assert all(Path(row[name]).is_file() for row in rows for name in ("image", "gtv", "mask"))
    assert sitk.GetArrayFromImage(sitk.ReadImage(rows[0]["gtv"]))[1].sum() > mask[1].sum() + 30  # the ring is filled


def test_rules_are_scored_beside_the_one_in_use(masks, capsys):
    run(bench_segmenter, "--tune", f"ours={masks}", "--test", f"theirs={masks}")
    lines = capsys.readouterr().out.splitlines()
    table = [line.split("|")[1:-1] for line in lines if line.startswith("|")]
    in_use, *best = table[1:8]
    assert in_use[0].strip() == "median 1.25 12.0 all" and len(best) == len(bench_segmenter.VALUES) + 1
    assert best[-1][0].strip() == "head 0.0 12.0 all"
    assert all(row[1] == row[2] for row in (in_use, *best))  # the same scans
    dice = [float(row[1].split(",")[0]) for row in (in_use, *best)]
    assert 0 < dice[0] <= dice[1] <= 1  # the best of its own kind
    assert [row[0].strip() for row in table[8:]] == ["ours 1 t0", "ours 1 t1", "theirs 1 t0", "theirs 1 t1"]


def test_corrupted_input_is_told_from_usual(masks, tmp_path, capsys):
    row = next(csv.DictReader(masks.open(encoding="utf-8")))
    (tmp_path / "cases.csv").write_text(f"id,image,gtv\nA,{row['image']},{row['gtv']}\n", "utf-8")
    ranges = {IMAGE_FEATURES: {"noise": [0.0, 0.1]}, AUTOENCODER_FEATURES: {REBUILT: [0.0, 1e9]}}
    bundle = write_tiny_bundle(tmp_path / "bundle", ranges=ranges)
    run(bench_guard, tmp_path / "cases.csv", "--other", f"same={tmp_path / 'cases.csv'}", "--bundle", bundle)
    table = {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in map(split, output(capsys))}
    assert table["usual"][1:4] == table["same"][1:4] == ["0.50"] * 3
    assert table["noise, SD 0.3"][1:3] == ["1.00", "1.00"] and table["noise, SD 0.3"][-1] == "1"
    assert set(bench_guard.CORRUPTIONS) < set(table)


def test_a_prediction_whose_margins_are_the_exact_ones_is_not_away_from_them(masks, tmp_path, capsys):
    before, after = csv.DictReader(masks.open(encoding="utf-8"))
    files = before["image"], before["gtv"], after["image"]
    (tmp_path / "cases.csv").write_text(f"id,image,gtv,follow_up\nA,{','.join(files)}\n", "utf-8")
    exact = bench_margins.exact_curve(*(Path(path) for path in (*files[:2], after["mask"])))
    assert exact == sorted(exact) and 0 < exact[0] < exact[-1] <= 1
    (tmp_path / "A").mkdir()
    score = {"classes": {"none": {"planning": {"covered": exact}}}, "true_planning": {"covered": [0.5] * len(exact)}}
    (tmp_path / "A" / "score.json").write_text(json.dumps(score), "utf-8")
    run(bench_margins, tmp_path, tmp_path / "cases.csv", masks)
    printed = capsys.readouterr().out
    predicted, found, true, away = ([*map(str.strip, line.split("|")[2:-1])] for line in printed.splitlines()[1:5])
    assert predicted == true and {*found} == {"50%"} and {*away} == {"0%"}
    assert "margin of 50% of the prediction covers that part of the exact mask: 1 of 1" in printed


def split(line):
    return line.split("|")


def output(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]


def test_a_network_learns_what_can_be_told_beside_the_best_baselines(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_direct, "WINDOW", 64)
    monkeypatch.setattr(bench_direct, "BATCH", 4)
    store = write_small_store(tmp_path / "store")
    stores = [word for split in ("train", "validation", "test") for word in (f"--{split}", store)]
    run(bench_direct, *stores, "--steps", 60, "--patients", 1, 2)
    said = capsys.readouterr().out.splitlines()
    steps = [dict(zip(*[iter(line.split(": ")[1].split())] * 2, strict=True)) for line in said if "step " in line]
    assert len(steps) == 20
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said[-4:]]
    assert [row[1].split(",")[0] for row in rows] == ["validation", "test"] * 2
    assert int(rows[0][0]) < int(rows[2][0])
    for number, name in enumerate(bench_direct.SCORES):
        scores = [float(found[name]) for found in steps]
        assert min(scores) < scores[0]
        for first, row in ((0, rows[0]), (10, rows[2])):
            error, baseline, skill = row[2 + 3 * number : 5 + 3 * number]
            assert float(error) == pytest.approx(min(scores[first : first + 10]), abs=1e-4)
            assert float(skill.split()[0]) == pytest.approx(1 - float(error) / float(baseline), abs=0.02)


def test_a_store_without_training_patients_is_named(tmp_path):
    store = write_small_store(tmp_path / "store", dict.fromkeys(SPLIT, "test"))
    with pytest.raises(SystemExit, match="'train' of the slice store store has no slice"):
        run(bench_direct, "--train", store, "--validation", store, "--test", store)


def test_quantiles_that_hold_have_the_least_loss():
    truth, levels = torch.rand(2000, 1, 1), bench_direct.LEVELS[None, :, None, None].expand(2000, -1, 1, 1)
    held, narrow, away = (
        float(bench_direct._pinball(low + (high - low) * levels, truth).mean())
        for low, high in ((0.0, 1.0), (0.4, 0.6), (0.3, 1.3))
    )
    assert held < min(narrow, away)
    assert 2 * held == pytest.approx(1 / 6, abs=0.01)  # the CRPS of a uniform distribution that is true


def test_an_area_that_does_not_fit_into_the_window_is_not_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_direct, "WINDOW", 16)
    target = bench_direct.target_of(write_small_store(tmp_path / "store"), "train")
    with pytest.raises(SystemExit, match="does not fit"):
        bench_direct.windows_of(target)


def judged_store(folder):
    """A small store whose volumes are known."""
    return write_small_store(folder / "store", **{name: {"stack_spacing_mm": [1.0, 1.0, 5.0]} for name in SPLIT})


def outcome_of(store, folder, change):
    """The store with its follow-ups changed."""
    shutil.copytree(store, folder)
    post = np.load(folder / "post.npy")
    np.save(folder / "post.npy", change(post.astype(np.float32)).astype(post.dtype))
    return folder


@pytest.fixture
def ceiling_of(tmp_path, capsys):
    """Runs the program beside a tiny bundle; the cells of every score's line."""
    bundle = write_tiny_bundle(tmp_path / "bundle")

    def measured(*words):
        capsys.readouterr()
        run(bench_ceiling, *words, "--bundle", bundle)
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in output(capsys)][1:]
        assert [row[0] for row in rows] == list(bench_ceiling.SCORES)
        return {row[0]: [float(cell.split()[0]) for cell in row[1:]] for row in rows}

    return measured


def test_outcomes_that_are_nearly_the_truth_leave_next_to_no_error(tmp_path, ceiling_of):
    store = judged_store(tmp_path)
    outcomes = [
        outcome_of(store, tmp_path / str(shift), lambda post, shift=shift: post + np.where(post > -1, shift, 0))
        for shift in (-0.01, 0.01)
    ]
    found = ceiling_of(store, *outcomes)
    assert found["crps_gtv"][3] == pytest.approx(0.0, abs=2e-3)
    assert found["crps_gtv"][4] > 0.95
    for baseline, model, skill, best, skill_at_best, way in found.values():
        if baseline:
            assert skill == pytest.approx(1 - model / baseline, abs=0.02)
            assert skill_at_best == pytest.approx(1 - best / baseline, abs=0.02)
            assert way == pytest.approx(100 * (baseline - model) / (baseline - best), abs=1.5)


def test_the_brier_score_of_two_outcomes_is_that_of_many(tmp_path, ceiling_of):
    """One has the truth, one nothing: a fair coin would have p (1 - p) = 1/4 where it is right half of the time."""
    store = judged_store(tmp_path)
    pre = np.load(store / "pre.npy")
    right = outcome_of(store, tmp_path / "right", lambda post: post + np.where(post > -1, 1e-3, 0))
    nothing = outcome_of(store, tmp_path / "nothing", lambda post: np.minimum(pre, -0.3))
    errors = [ceiling_of(store, *pair)["brier"][3] for pair in ((right, nothing), (nothing, right))]
    assert errors == pytest.approx([0.0, 0.0], abs=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda post, pre: (post, pre), "the very follow-ups"),
        (lambda post, pre: (post * 0.9, pre * 0.9), "other images before treatment"),
    ],
)
def test_outcomes_of_something_else_are_refused(tmp_path, change, words):
    store = judged_store(tmp_path)
    other = outcome_of(store, tmp_path / "other", lambda post: post)
    for name, stack in zip(
        ("post", "pre"), change(*(np.load(store / f"{n}.npy") for n in ("post", "pre"))), strict=True
    ):
        np.save(other / f"{name}.npy", stack)
    with pytest.raises(SystemExit, match=words):
        run(bench_ceiling, store, other, other)


def test_the_place_of_the_truth_among_outcomes(tmp_path):
    slices = bench_ceiling.read_held_out(judged_store(tmp_path), "test")
    darker, brighter = ([slices.post + shift] for shift in (-0.1, 0.1))
    assert bench_ceiling.places(darker * 2, slices).tolist() == [0, 0, 3]
    assert bench_ceiling.places(darker + brighter, slices).tolist() == [0, 3, 0]


def test_one_outcome_is_no_distribution(tmp_path):
    store = judged_store(tmp_path)
    with pytest.raises(SystemExit, match="two outcomes"):
        run(bench_ceiling, store, store)
    with pytest.raises(SystemExit, match=r"patients.json does not exist"):
        run(bench_ceiling, tmp_path, store, store)


@nightly
def test_outcomes_of_a_cohort_have_its_images_before_treatment(tmp_path, ceiling_of):
    stores = []
    for outcome in range(3):
        cohort, store = (str(tmp_path / f"{kind}-{outcome}") for kind in ("cohort", "store"))
        options = [
            "--anatomies",
            "phantom",
            "--slices",
            "4",
            "--seed",
            "3",
            "--same-scan",
            "--size",
            "64",
            "--processes",
            "1",
        ]
        assert cli.main(["simulate", "3", cohort, *options, "--outcome", str(outcome)]) == 0
        assert cli.main(["import", "cfb-gbm", cohort, store, "--same-scan"]) == 0
        assert cli.main(["split", store, "--shares", "0", "0", "100"]) == 0
        stores.append(store)
    for figures in ceiling_of(*stores).values():
        assert np.isfinite(figures).all()
