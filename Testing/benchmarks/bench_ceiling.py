"""How good can a forecast of simulated follow-ups be at best? Other outcomes of the same patients, scored as samples.

python Testing/benchmarks/bench_ceiling.py STORE OUTCOME [OUTCOME ...] --split test --training TRAINING

STORE has the patients of a cohort, each OUTCOME those of `simulate ... --outcome K` with another K, imported and split
alike. They are what follows for somebody who knows every tumor cell before treatment, the tissue in which they grow
and the day of the follow-up, but not the response. An image tells less, so that in the long run no forecast from it
has a better CRPS, energy score or Brier score on such patients. The Brier score is the fair one (Ferro 2014,
doi 10.1002/qj.2270): that of as many outcomes as one likes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle

from GBMResponseTraining.evaluation.enhancement import enhancement_zones
from GBMResponseTraining.evaluation.held_out import HeldOut, read_held_out
from GBMResponseTraining.evaluation.score_baselines import Usual, baseline_rows, best_blur, usual_of_store
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


def best_errors(members: Members, target: Target) -> dict[str, np.ndarray]:
    """Each score of every patient (n,), of the outcomes (m, ...) as samples."""
    errors = score_members("outcomes", "model", members, target).per_patient(target.slices)
    shares = target.shares(members.evidence)
    spread = [
        (share * (1.0 - share)).mean() / (len(values) - 1) if len(share) else np.nan
        for share, values in zip(shares, members.evidence, strict=True)
    ]
    fair = errors["brier"] - group_means(np.array(spread), target.slices.person)
    return {name: errors[name] for name in SCORES} | {"brier": fair}


def table(errors: dict[str, np.ndarray], target: Target, usual: Usual | None) -> list[str]:
    """A line of every score, beside the best baseline."""
    rows = [row.per_patient(target.slices) for row in baseline_rows(target, best_blur(target), usual)]
    lines = ["| score | at best | best baseline | skill |"]
    for name in SCORES:
        others = {str(number): row[name] for number, row in enumerate(rows) if name in row}
        skill = skill_against_best(errors[name], others)
        least = min(map(known_mean, others.values()))
        interval = f"{skill['value']:.2f} [{skill['ci_low']:.2f}, {skill['ci_high']:.2f}]"
        lines.append(f"| {name} | {known_mean(errors[name]):.4f} | {least:.4f} | {interval} |")
    return lines


def measure(store: Path, outcomes: Sequence[Path], split: str, training: Path | None) -> list[str]:
    """The table of one store."""
    slices = read_held_out(store, split)
    rule = EnhancementRule.with_head(open_bundle(default_bundle()).enhancement_head)
    target = Target(slices, enhancement_zones(slices, rule), len(outcomes))
    members = members_of([follow_ups(folder, split, slices) for folder in outcomes], target)
    usual = None if training is None else usual_of_store(training, rule)
    return table(best_errors(members, target), target, usual)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("outcomes", type=Path, nargs="+", metavar="OUTCOME", help="two stores or more")
    parser.add_argument("--split", default="test", help="whose patients are judged (default: %(default)s)")
    parser.add_argument("--training", type=Path, metavar="STORE", help="whose changes of volume are a baseline, too")
    arguments = parser.parse_args()
    if len(arguments.outcomes) < 2:
        raise SystemExit("It takes two outcomes or more.")
    try:
        lines = measure(arguments.store, arguments.outcomes, arguments.split, arguments.training)
    except GBMResponseError as error:
        raise SystemExit(str(error)) from error
    print("\n".join(lines))


if __name__ == "__main__":
    main()
