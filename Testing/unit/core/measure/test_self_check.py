"""No measure may report a change when nothing changed, and what is not trusted is withheld with its reason."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.inputs.follow_up import AlignedFollowUp
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.inputs.resampling import image_like
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.check import FEWEST_SAMPLES, LOWEST_GTV_DICE, LOWEST_WITH_HEAD, NO_SAMPLES, SelfCheck
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.enhancement_head import EnhancementHead
from GBMResponseCore.measure.lesions import Lesion, LesionMap
from GBMResponseCore.measure.measurements import measure, write_measurements
from GBMResponseCore.measure.response import compare_lesions, noise_band
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.outputs.report_words import answers
from GBMResponseCore.prediction import Predictor
from rows import share
from scipy import ndimage

SPACING = (5.0, 0.9, 0.9)
SHAPE = (10, 128, 128)
CENTER = np.array([22.5, 57.0, 62.0])
RULE = InPlaneRule(size=128)
TISSUE, LESION, NOISE = 500.0, 330.0, 75.0
Z, Y, X = (step * np.arange(n) for step, n in zip(SPACING, SHAPE, strict=True))
POINTS = np.stack(np.meshgrid(Z, Y, X, indexing="ij"))


def ball(radius_mm, offset=(0, 0, 0)):
    offset = POINTS - (CENTER + offset)[:, None, None, None]
    return 1 / (1 + np.exp((np.sqrt((offset**2).sum(axis=0)) - radius_mm) / 0.5))


def solid(scale, rng):
    return ball(13 * scale)


def thick_rim(scale, rng):
    return ball(15 * scale) - ball(9 * scale)


def thin_rim(scale, rng):
    return ball(15 * scale) - ball(12 * scale)


def with_holes(scale, rng):
    found = ball(15 * scale)
    for offset in rng.uniform(-9, 9, (8, 3)) * scale:
        found = found * (1 - ball(2.2 * scale, offset))
    return found


def several(scale, rng):
    places = [(0, -14, -6), (2, 14, 4), (-5, 2, 16)]
    return np.max([ball(radius * scale, place) for radius, place in zip((10, 8, 5.5), places, strict=True)], axis=0)


def faint(scale, rng):
    """So little above the threshold that noise tears holes into its mask."""
    return 0.6 * ball(14 * scale)


KINDS = (solid, thick_rim, thin_rim, with_holes, several)


def head(lesion, seed):
    """A noisy scan: an egg of tissue with the lesion."""
    rng = np.random.default_rng(seed)
    middle, radii = (np.array(values)[:, None, None, None] for values in ((22.5, 57.0, 57.0), (80.0, 56.0, 54.0)))
    inside = (((POINTS - middle) / radii) ** 2).sum(axis=0) < 1
    values = np.where(inside, TISSUE + LESION * lesion, 0.0)
    noisy = np.hypot(values + rng.normal(0, NOISE, SHAPE), rng.normal(0, NOISE, SHAPE))
    image = sitk.GetImageFromArray(np.rint(noisy).astype(np.int16))
    image.SetSpacing(SPACING[::-1])
    return image


def decoded(image, pixels=0.9):
    """What a decoder makes of a scan: blurred, without its noise, slightly off."""
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)
    return image_like(image, np.rint(1.003 * ndimage.gaussian_filter(voxels, (0, pixels, pixels))).astype(np.int16))


@pytest.fixture(scope="module")
def blank(tiny_bundle):
    """A prediction to be filled; its own slices and samples are not looked at."""
    image, gtv = head(ball(12), 0), image_like(head(ball(12), 0), (ball(12) > 0.5).astype(np.uint8))
    return Predictor(open_bundle(tiny_bundle), "cpu", "float32").predict(make_case(image, gtv))


def compared(blank, image, lesion, *samples, unchanged=None, gtv=None, **settings):
    """Measures of samples of a scan whose GTV is the lesion."""
    slices = slices_of(image, lesion > 0.5 if gtv is None else gtv)
    still = slices.read(image if unchanged is None else unchanged)
    prediction = replace(blank, slices=slices, samples=list(samples))
    return measure(slices, {"short": prediction}, still, **settings)


def slices_of(image, gtv):
    return read_slices(make_case(image, image_like(image, gtv.astype(np.uint8))), RULE, NormalizationSettings())


def of(measurements):
    return measurements.record["classes"]["short"]


@pytest.mark.parametrize("kind", [*KINDS, faint])
@pytest.mark.parametrize("seed", share(range(4), 1))
def test_no_measure_reports_a_change_when_nothing_changed(blank, kind, seed):
    rng = np.random.default_rng(seed)
    lesion = kind(rng.uniform(0.9, 1.25), rng)
    image = head(lesion, seed)
    still = decoded(image, rng.uniform(0.5, 1.2))
    record = compared(blank, image, lesion, image, still, unchanged=still).record
    copied, drawn = record["classes"]["short"]["per_sample"]
    check = record["check"]["unchanged"]
    assert copied["volume_change"] == 0
    for change in (copied, drawn, check):
        assert abs(change["volume_change"]) <= noise_band(change["volume_before_ml"])
        assert change["new_lesions"] == 0
        assert change["category_by_area" if change is check else "category_by_volume"] == "SD"
        assert abs(check["area_change"] or 0) < 0.2


def test_without_equal_sharpness_lesions_would_seem_to_grow(blank):
    found = []
    for seed in range(2):
        lesion = faint(1.1, None)
        image = head(lesion, seed)
        settings = {"enhancement": EnhancementRule(smoothing_mm=0.0)}
        found.append(compared(blank, image, lesion, image, unchanged=decoded(image), **settings).record["check"])
    assert all(check["unchanged"]["volume_change"] > 0.05 for check in found)


@pytest.mark.parametrize("kind", share(KINDS, 2))
@pytest.mark.parametrize("scale, category", [(0.6, "PR"), (0.92, "SD"), (1.08, "SD"), (1.3, "PD")])
def test_true_growth_and_shrinkage_are_found_in_a_blurred_prediction(blank, kind, scale, category):
    before, after = kind(1.0, np.random.default_rng(1)), kind(scale, np.random.default_rng(1))
    image = head(before, 1)
    entry = of(compared(blank, image, np.maximum(before, after), *[decoded(head(after, seed)) for seed in range(2, 6)]))
    truth = (after > 0.5).sum() / (before > 0.5).sum() - 1
    assert np.sign(entry["volume_change"]) == np.sign(truth)
    assert 1 + entry["volume_change"] == pytest.approx(1 + truth, rel=0.15, abs=0.1)
    assert entry["by_volume"]["category"] == category


def test_a_follow_up_of_another_sharpness_is_prepared_alike(blank):
    lesion = with_holes(1.1, np.random.default_rng(3))
    image = head(lesion, 3)
    slices = slices_of(image, lesion > 0.5)
    slices = replace(slices, follow_up=AlignedFollowUp(decoded(image), slices.scale, True, sitk.Transform()))
    record = measure(slices, {"short": replace(blank, slices=slices, samples=[image])}, slices.pre).record
    truth = record["true_follow_up"]
    assert abs(truth["volume_change"]) < 0.05
    assert (truth["category_by_volume"], truth["category_by_area"]) == ("SD", "SD")


@pytest.mark.parametrize("lowest, shown", [(LOWEST_GTV_DICE, False), (LOWEST_WITH_HEAD, True)])
def test_a_head_may_find_a_thin_rim_of_a_gtv_that_is_mostly_cavity(lowest, shown):
    withheld = SelfCheck(0.3, None, lowest).withheld(4)
    assert (withheld.volume is None) is shown
    if not shown:
        assert "Dice 0.30, at least 0.40 is needed" in withheld.volume


def test_what_is_asked_of_the_overlap_is_that_of_the_segmenter(blank, scan):
    found = [
        compared(blank, scan, solid(1.0, None), scan, enhancement=EnhancementRule(head=head)).record["check"]
        for head in (None, EnhancementHead(((1.0, *[0.0] * 7),), (0.0,), (1.0,), -1.25))
    ]
    assert [check["lowest_gtv_dice"] for check in found] == [LOWEST_GTV_DICE, LOWEST_WITH_HEAD]


@pytest.fixture(scope="module")
def scan():
    return head(solid(1.0, None), 9)


def test_volumes_are_withheld_where_the_threshold_does_not_find_the_tumor(blank, scan):
    elsewhere = ball(10, (0, 0, -36)) > 0.5
    record = compared(blank, scan, None, *[scan] * 4, gtv=elsewhere).record
    entry = record["classes"]["short"]
    assert record["check"]["gtv_dice"] < LOWEST_GTV_DICE
    assert "does not find this tumor" in entry["withheld"]["volume"] and "Dice 0.0" in entry["withheld"]["volume"]
    assert entry["withheld"]["area"] == entry["withheld"]["volume"] == record["withheld"]["volume"]
    shown = ("volume_before_ml", "volume_after_ml", "volume_change", "by_volume", "area_before_mm2", "by_area")
    assert {entry[name] for name in shown} == {None}
    assert record["before"] == {"volume_ml": None, "lesions": None}
    assert {sample["volume_after_ml"] for sample in entry["per_sample"]} == {None}


def test_the_overlap_with_the_gtv_is_that_of_the_masks(blank, scan):
    dice = compared(blank, scan, solid(1.0, None), scan).record["check"]["gtv_dice"]
    assert 0.85 < dice <= 1


def test_areas_are_withheld_where_nothing_changed_and_the_area_would(blank, scan):
    """The unchanged image cuts the lesion in two halves that touch: the same volume, much shorter diameters."""
    voxels = sitk.GetArrayFromImage(scan)
    voxels[:, 61:66, 50:88] = 500
    record = compared(blank, scan, solid(1.0, None), *[scan] * 4, unchanged=image_like(scan, voxels)).record
    withheld = record["classes"]["short"]["withheld"]
    change = record["check"]["unchanged"]
    assert "nothing changed would already show" in withheld["area"]
    assert f"{change['area_change']:+.0%}" in withheld["area"] or withheld["volume"]
    assert record["classes"]["short"]["by_area"] is None


def test_areas_alone_are_withheld_if_the_volume_holds():
    before = SelfCheck(0.8, compare_maps(30.0, 20.0, 10.0))
    assert before.withheld().volume is None
    assert before.withheld().area.endswith("an area change of -67% (PR).")


def compare_maps(length, across, after):
    """Change of a lesion of one volume and other diameters."""
    maps = []
    for diameters in ((length, across), (across, after)):
        labels = np.ones((2, 4, 4), np.int32)
        maps.append(LesionMap(labels, [Lesion(10.0, *diameters, 0, 2, True)], (5.0, 1.0, 1.0)))
    return compare_lesions(*maps)


def test_volumes_are_withheld_where_nothing_changed_and_the_volume_would(blank, scan):
    brighter = image_like(scan, np.rint(1.12 * sitk.GetArrayFromImage(scan)).astype(np.int16))
    record = compared(blank, scan, solid(1.0, None), *[scan] * 4, unchanged=brighter).record
    reason = record["withheld"]["volume"]
    assert f"a volume change of {record['check']['unchanged']['volume_change']:+.0%}" in reason
    assert record["classes"]["short"]["by_volume"] is None


def test_areas_wait_for_the_check(blank, scan):
    slices = slices_of(scan, ball(13) > 0.5)
    entry = of(measure(slices, {"short": replace(blank, slices=slices, samples=[scan])}))
    assert entry["withheld"]["volume"] is None and entry["by_volume"]["category"] == "SD"
    assert "not tried" in entry["withheld"]["area"]
    assert entry["by_area"] is None
    assert entry["per_sample"][0]["lesions"][0]["diameter_mm"] is None


def test_without_samples_nothing_is_measured_in_the_expected_image(blank, scan, tmp_path):
    measured = compared(blank, scan, solid(1.0, None))
    entry = of(measured)
    assert entry["withheld"] == {"volume": NO_SAMPLES, "area": NO_SAMPLES}
    assert entry["volume_after_ml"] is None and entry["by_volume"] is None and entry["per_sample"] == []
    assert measured.enhancement_probability == {}
    assert measured.record["before"]["volume_ml"] > 5  # of the scan, which is no average
    table = write_measurements(measured, tmp_path)["measurements_table"].read_text("utf-8")
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["sample"], row["volume_after_ml"], row["withheld_volume"]) == ("", "", NO_SAMPLES)


@pytest.mark.parametrize("count", [1, 2, FEWEST_SAMPLES - 1, FEWEST_SAMPLES])
def test_few_samples_have_no_interval_and_no_certain_category(blank, scan, count):
    entry = of(compared(blank, scan, solid(1.0, None), *[scan] * count))
    enough = count >= FEWEST_SAMPLES
    assert entry["by_volume"]["possible_within_noise"] == ["SD"]
    assert entry["by_volume"]["indeterminate"] is entry["by_area"]["indeterminate"] is not enough
    for name in ("volume_after_ml", "area_after_mm2"):
        assert (entry[name]["p10"] is not None, entry[name]["p90"] is not None) == (enough, enough)
        assert entry[name]["mean"] > 0


def test_the_table_holds_overlap_and_reasons(blank, scan, tmp_path):
    measured = compared(blank, scan, solid(1.0, None), scan, scan)
    rows = list(csv.DictReader(io.StringIO(write_measurements(measured, tmp_path)["measurements_table"].read_text())))
    assert [row["sample"] for row in rows] == ["1", "2"]
    assert {float(row["gtv_dice"]) for row in rows} == {measured.record["check"]["gtv_dice"]}
    assert {row["withheld_volume"] for row in rows} == {""}
    assert float(rows[0]["volume_change_percent"]) == 0


NOTHING = np.zeros(SHAPE)
NOT_FOUND = "Cannot say how much will enhance. The segmenter does not find this tumor"


@pytest.mark.parametrize(
    ("before", "after", "gtv", "words"),
    [
        (NOTHING, NOTHING, ball(12), NOT_FOUND),
        (-0.9 * ball(13), -0.9 * ball(13), ball(13), NOT_FOUND),
        (ball(4), ball(4), None, "cannot say (SD or PD: the band crosses a threshold)"),
        (ball(9, (0, 0, 46)), ball(9, (0, 0, 46)), None, "SD in 100% of the samples"),
        (ball(10, (-20, 0, 0)), ball(10, (-20, 0, 0)), None, "SD in 100% of the samples"),
        (several(1.0, None), several(1.0, None), None, "SD in 100% of the samples"),
        (ball(13), NOTHING, None, "0.0 ml (0.0 to 0.0) expected after treatment"),
        (ball(8), ball(14), None, "PD in 100% of the samples"),
    ],
    ids=[
        "nothing enhances",
        "cavity alone",
        "tiny",
        "at the surface",
        "at the end of the field",
        "several",
        "gone",
        "grown",
    ],
)
def test_the_answer_to_a_hard_case_is_sensible(blank, before, after, gtv, words):
    image, drawn = head(before, 1), (before if gtv is None else gtv) > 0.5
    samples = [decoded(head(after, seed)) for seed in range(FEWEST_SAMPLES)]
    measured = compared(blank, image, before, *samples, unchanged=decoded(image), gtv=drawn)
    (sentence,) = answers({"short": blank}, measured)
    assert words in sentence
    if words == NOT_FOUND:
        assert "ml" not in sentence
