"""Does a bundle tell usual input from corrupted input? ROC of how far a case lies beyond the bundle's ranges.

python Testing/benchmarks/bench_guard.py USUAL [--other NAME=CASES ...] [--bundle BUNDLE] [--most N]

USUAL and CASES are tables as of `gbmresponse cohort`: cases that the bundle should know, which are also corrupted, and
others. AUC: chance that a corrupted case lies farther beyond than a usual one, ties half; by all that the bundle knows,
by the image's features alone and by the two of its autoencoder alone.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.inputs.case import Case, load_case, make_case
from GBMResponseCore.inputs.case_table import read_case_table
from GBMResponseCore.inputs.preprocessing import fit_scale
from GBMResponseCore.measure.guard import COLORS, GREEN, LATENTS_TOGETHER, Judgement, judge_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import REBUILT, default_bundle
from GBMResponseCore.prediction import Predictor
from scipy import ndimage

AUTOENCODER = {REBUILT, LATENTS_TOGETHER}


def noisy(sd: float) -> Callable[[np.ndarray, float], np.ndarray]:
    return lambda image, _: image + np.random.default_rng(1).normal(0, sd, image.shape)


def depth_mm(image: np.ndarray, pixel_mm: float) -> np.ndarray:
    head = [ndimage.binary_fill_holes(plane) for plane in image > -0.8]
    return np.stack([ndimage.distance_transform_edt(plane) for plane in head]) * pixel_mm


def like_ct(image: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Skull white, brain and scalp flat."""
    depth = depth_mm(image, pixel_mm)
    flat = np.where(depth > 0, -0.4 + 0.05 * image, -1.0)
    return np.where((depth > 5) & (depth < 11), 1.5, flat)


def like_flair(image: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Tissue inverted, fluid dark."""
    inside = depth_mm(image, pixel_mm) > 0
    return np.where(inside, np.where(image < -0.6, image, -0.35 * image), image)


CORRUPTIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "noise, SD 0.15 of half the range": noisy(0.15),
    "noise, SD 0.3": noisy(0.3),
    "like a CT: skull white, brain flat": like_ct,
    "like a FLAIR: tissue inverted, fluid dark": like_flair,
    "skull-stripped": lambda image, pixel_mm: np.where(depth_mm(image, pixel_mm) > 12, image, -1.0),
    "blurred, SD 2 mm": lambda image, mm: np.stack([ndimage.gaussian_filter(plane, 2.0 / mm) for plane in image]),
}


def corrupted(case: Case, how: Callable[[np.ndarray, float], np.ndarray], predictor: Predictor) -> Case:
    """The case with other intensities, black 0."""
    array = sitk.GetArrayFromImage(case.image)
    scale = fit_scale(array, predictor.bundle.normalization)
    other = sitk.GetImageFromArray(
        (np.clip(how(scale.normalize(array), case.image.GetSpacing()[0]), -1, 1.5) + 1) * 100
    )
    other.CopyInformation(case.image)
    return make_case(sitk.Cast(other, sitk.sitkFloat32), case.gtv)


def enlarged(case: Case, factor: float = 1.3) -> Case:
    images = [sitk.Image(image) for image in (case.image, case.gtv)]
    for image in images:
        image.SetSpacing([factor * spacing for spacing in image.GetSpacing()])
    return make_case(*images)


def area_under(usual: np.ndarray, others: np.ndarray) -> float:
    return float(np.mean((others[:, None] > usual) + 0.5 * (others[:, None] == usual)))


def farthest(judgements: list[Judgement], names: Callable[[str], bool]) -> np.ndarray:
    return np.array([max(v for name, v in entry.beyond.items() if names(name)) for entry in judgements])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("usual", type=Path)
    parser.add_argument("--other", nargs="*", default=[], metavar="NAME=CASES")
    parser.add_argument("--bundle", type=Path, default=default_bundle())
    parser.add_argument("--most", type=int, help="cases of USUAL")
    arguments = parser.parse_args()
    predictor = Predictor(open_bundle(arguments.bundle))

    def judged(case: Case) -> Judgement:
        return judge_case(predictor.read_slices(case), predictor.bundle.description["ranges"])

    tables = {
        "usual": arguments.usual,
        **{name: Path(path) for name, path in (e.split("=", 1) for e in arguments.other)},
    }
    cases = {
        name: {row.identifier: load_case(row.image, row.gtv) for row in read_case_table(path)[: arguments.most]}
        for name, path in tables.items()
    }
    found = {name: {label: judged(case) for label, case in entry.items()} for name, entry in cases.items()}
    for name, how in CORRUPTIONS.items():
        found[name] = {label: judged(corrupted(case, how, predictor)) for label, case in cases["usual"].items()}
    found["enlarged 1.3 times"] = {label: judged(enlarged(case)) for label, case in cases["usual"].items()}
    kinds = (lambda _: True, lambda name: name not in AUTOENCODER, lambda name: name in AUTOENCODER)
    print(
        "| input | cases | AUC | image alone | autoencoder alone | "
        + " | ".join(COLORS)
        + " |\n|---|---|---|---|---|---|---|---|"
    )
    for name, entry in found.items():
        judgements, usual = list(entry.values()), list(found["usual"].values())
        areas = [f"{area_under(farthest(usual, kind), farthest(judgements, kind)):.2f}" for kind in kinds]
        counts = Counter(judgement.color for judgement in judgements)
        print(f"| {name} | {len(entry)} | {' | '.join(areas)} | " + " | ".join(str(counts[c]) for c in COLORS) + " |")
    for name in tables:
        for label, judgement in found[name].items():
            out = [feature for feature, color in judgement.colors.items() if color != GREEN]
            print(f"{name} {label}: {judgement.color}; {', '.join(out)}")


if __name__ == "__main__":
    main()
