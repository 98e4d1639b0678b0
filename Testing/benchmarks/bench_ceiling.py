"""How good can a forecast of simulated follow-ups be at best? Other outcomes of the same patients, scored as samples.

python Testing/benchmarks/bench_ceiling.py STORE OUTCOME [OUTCOME ...] --training TRAINING

STORE has the patients of a cohort, each OUTCOME those of `simulate ... --outcome K` with another K, imported and split
alike. They are what follows for somebody who knows every tumor cell before treatment, the tissue in which they grow
and the day of the follow-up, but not the response. An image tells less, so that in the long run no forecast from it
has a better CRPS, energy score or Brier score on such patients. Beside them stands a bundle, without a class, with as
many samples. Brier scores are fair ones (Ferro 2014, doi 10.1002/qj.2270): those of as many members as one likes,
whose share that enhances is the probability, without smoothing and calibration.
"""

import argparse
from pathlib import Path

import numpy as np
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle

from GBMResponseTraining.evaluation.enhancement import enhancement_zones
from GBMResponseTraining.evaluation.held_out import HeldOut, read_held_out
from GBMResponseTraining.evaluation.model_predictions import (
    EvaluatedModel,
    assign_classes,
    open_model,
    predict_slices,
)
from GBMResponseTraining.evaluation.options import EvaluationOptions
from GBMResponseTraining.evaluation.score_baselines import baseline_rows, best_blur, usual_of_store
from GBMResponseTraining.evaluation.scores import Members, Target, members_of, score_members
from GBMResponseTraining.evaluation.statistics.bootstrap import group_means, known_mean
from GBMResponseTraining.evaluation.statistics.skill import skill_against_best

SCORES = ("crps_gtv", "crps_region", "energy", "brier", "crps_volume")


def follow_ups(folder: Path, split: str, slices: HeldOut) -> np.ndarray:
    """The follow-ups (n, H, W) of another outcome of the same patients."""
    other = read_held_out(folder, split)
    ids = [[record["id"] for record in entry.records] for entry in (other, slices)]
    if ids[0] != ids[1] or not all(
        np.array_equal(getattr(other, name), getattr(slices, name)) for name in ("pre", "gtv")
    ):
        raise SystemExit(f"{folder.name} has other patients, or other images before treatment.")
    if np.array_equal(other.post, slices.post):
        raise SystemExit(f"{folder.name} has the very follow-ups that are to be forecast.")
    return other.post


def samples_of(bundle: Path, slices: HeldOut, count: int, finished: Path | None) -> list[np.ndarray]:
    """Samples of a bundle, each (n, H, W), as `gbmresponse-train evaluate` makes them."""
    loaded = open_model(EvaluatedModel(bundle.name, bundle)).load()
    tokens, seed = assign_classes(loaded, slices).tokens, EvaluationOptions().seed
    return [
        predict_slices(loaded, slices, tokens, seed=seed, sample=sample, finished=finished) for sample in range(count)
    ]


def errors_of(members: Members, target: Target) -> dict[str, np.ndarray]:
    """Each score of every patient (n,) of an ensemble."""
    errors = score_members("ensemble", "model", members, target).per_patient(target.slices)
    shares = target.shares(members.evidence)
    spread = [
        (share * (1.0 - share)).mean() / (len(values) - 1) if len(share) else np.nan
        for share, values in zip(shares, members.evidence, strict=True)
    ]
    fair = errors["brier"] - group_means(np.array(spread), target.slices.person)
    return {name: errors[name] for name in SCORES} | {"brier": fair}


def places(outcomes: list[np.ndarray], slices: HeldOut) -> np.ndarray:
    """In how many records the true mean brightness of the GTV is the lowest, second, ... highest among the outcomes.

    All about equally many, if the true follow-ups are to the outcomes as these are to each other.
    """
    place = []
    for number in range(len(slices.records)):
        inside = [(row, slices.gtv[row]) for row in slices.rows_of(number)]
        means = [
            np.concatenate([images[row][gtv] for row, gtv in inside]).mean() for images in (slices.post, *outcomes)
        ]
        place.append(sum(mean < means[0] for mean in means[1:]))
    return np.bincount(place, minlength=len(outcomes) + 1)


def skill_of(errors: np.ndarray, baselines: dict[str, np.ndarray]) -> str:
    skill = skill_against_best(errors, baselines)
    return f"{skill['value']:.2f} [{skill['ci_low']:.2f}, {skill['ci_high']:.2f}]"


def measure(arguments: argparse.Namespace) -> list[str]:
    """A line of every score: the best baseline, the bundle, and what is best; then :func:`places`."""
    slices = read_held_out(arguments.store, arguments.split)
    bundle = open_bundle(arguments.bundle)
    rule = EnhancementRule.with_head(bundle.enhancement_head)
    target = Target(slices, enhancement_zones(slices, rule), len(arguments.outcomes))
    usual = None if arguments.training is None else usual_of_store(arguments.training, rule)
    rows = [row.per_patient(slices) for row in baseline_rows(target, best_blur(target), usual)]
    outcomes = [follow_ups(folder, arguments.split, slices) for folder in arguments.outcomes]
    best = errors_of(members_of(outcomes, target), target)
    samples = samples_of(arguments.bundle, slices, len(outcomes), arguments.finished)
    model = errors_of(members_of(samples, target), target)
    lines = [f"| score | best baseline | {bundle.name} | skill | at best | skill at best | of the way |"]
    for name in SCORES:
        others = {str(number): row[name] for number, row in enumerate(rows) if name in row}
        least = min(map(known_mean, others.values()))
        reached, most = (known_mean(errors[name]) for errors in (model, best))
        cells = (name, f"{least:.4f}", f"{reached:.4f}", skill_of(model[name], others), f"{most:.4f}")
        way = f"{100 * (least - reached) / (least - most):.0f} %"
        lines.append(f"| {' | '.join((*cells, skill_of(best[name], others), way))} |")
    lines.append(f"Places of the true brightness: {', '.join(map(str, places(outcomes, slices)))}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("outcomes", type=Path, nargs="+", metavar="OUTCOME", help="two stores or more")
    parser.add_argument("--split", default="test", help="whose patients are judged (default: %(default)s)")
    parser.add_argument("--training", type=Path, metavar="STORE", help="whose changes of volume are a baseline, too")
    parser.add_argument("--bundle", type=Path, default=default_bundle(), help="default: the one that ships")
    parser.add_argument("--finished", type=Path, metavar="FOLDER", help="`predictions` of an evaluation, used again")
    arguments = parser.parse_args()
    if len(arguments.outcomes) < 2:
        raise SystemExit("It takes two outcomes or more.")
    try:
        lines = measure(arguments)
    except GBMResponseError as error:
        raise SystemExit(str(error)) from error
    print("\n".join(lines))


if __name__ == "__main__":
    main()
