"""Stage: train the survival classifier, with out-of-fold predictions for the patients it is trained on.

Labels for the configuration `predicted-2-class` must look as they will for a new patient. A classifier's answers for
its own training patients do not: it has seen their survival. So every training patient is predicted by a classifier
that was trained without any visit of that patient; the final one, trained on all training patients, serves everyone
else. All are selected by the same validation patients.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
import torch
from GBMResponseCore.files import write_csv
from GBMResponseCore.model.classes import ClassScheme, patient_probabilities
from torch import nn

from ..engine.fit import fit
from ..evaluation.metrics.classification import classification_report
from ..evaluation.statistics.bootstrap import group_means
from ..items.class_labels import true_class
from ..items.fingerprints import content_sha256, weights_sha256
from ..items.slices import classifier_items, classifier_validation
from ..models.classifier import ClassifierModule
from ..store.person import person_numbers
from ..store.splits import SplitError
from .calibration import calibrate, patient_logits
from .training_run import TrainingRun

PREDICTIONS, REPORT = "predictions.csv", "report.json"
UNSEEN = "unseen"
"""In the report of a classifier that the run did not train: all patients."""


@dataclasses.dataclass(frozen=True)
class SurvivalClassifier:
    """A trained classifier.

    :param scheme: the classes of its outputs.
    :param temperature: divides its logits, see :mod:`.calibration`.
    :param probabilities: patient id -> probabilities of the classes; out-of-fold for training patients.
    """

    network: nn.Module
    scheme: ClassScheme
    temperature: float
    probabilities: dict[str, list[float]]


def train_classifier(run: TrainingRun) -> SurvivalClassifier | None:
    """Train the folds and the final classifier, or take what is finished; in fine-tuning perhaps the parent's.

    :return: None if it should be the parent's, and that has none.
    :raises SplitError: fewer than two training patients have a known class.
    """
    settings = run.configuration.classifier
    if settings.kept:
        return _kept(run)
    scheme = run.schemes((settings.scheme,))[settings.scheme]
    training_rows = run.rows("train", lambda record: true_class(record, scheme) is not None)
    known_patients = len(np.unique(person_numbers(run.patients)[np.asarray(run.store.patient)[training_rows]]))
    if known_patients < 2:
        raise SplitError(
            f"The survival class of {known_patients} training patients is known; out-of-fold predictions need two.",
            "Import more patients whose survival is known, or train the configuration no-class alone.",
        )
    fold_of = _folds(run, training_rows, settings.folds)
    validation_rows = run.rows("validation", lambda record: true_class(record, scheme) is not None)
    out_of_fold: dict[int, np.ndarray] = {}
    weights = []
    for fold in range(min(settings.folds, known_patients)):
        held_out = fold_of[np.asarray(run.store.patient)[training_rows]] == fold
        network = _fit(run, scheme, training_rows[~held_out], f"classifier/fold_{fold}", validation_rows)
        out_of_fold |= _logits(network, run, training_rows[held_out])
        weights.append(weights_sha256(network))
    network = _fit(run, scheme, training_rows, "classifier/final", validation_rows)
    made_from = content_sha256([*weights, weights_sha256(network)])
    others = [index for index in range(len(run.patients)) if index not in out_of_fold]
    final = _logits(network, run, _rows_of(run, others))
    validation = _patients(run, validation_rows)

    def calibration() -> dict[str, float]:
        held_out = {patient: final[patient] for patient in validation}
        labels = [
            [true_class(run.patients[patient], scheme) for patient in logits] for logits in (out_of_fold, held_out)
        ]
        found = calibrate(list(out_of_fold.values()), labels[0], list(held_out.values()), labels[1])
        return dataclasses.asdict(found)

    fitted = run.once("classifier/temperature.json", calibration, made_from)
    probabilities = {
        run.patients[patient]["id"]: patient_probabilities(rows, fitted[temperature]).tolist()
        for temperature, logits in (("out_of_fold_temperature", out_of_fold), ("temperature", final))
        for patient, rows in sorted(logits.items())
    }

    def report() -> dict[str, object]:
        _write_predictions(run, scheme, probabilities, set(out_of_fold))
        return _report(run, scheme, probabilities)

    run.once(f"classifier/{REPORT}", report, made_from)
    return SurvivalClassifier(network, scheme, fitted["temperature"], probabilities)


def classifier_skill(run: TrainingRun) -> dict[str, float] | None:
    """AUC of the finished classifier with its 95 % interval and the number of patients, as in `bundle.json`.

    Of the test patients, or out of fold where no test patient's class is known; None where it is not defined. A
    classifier that a run did not train has seen none of its patients: all count, or else its own figure stays.
    """
    report = run.read(f"classifier/{REPORT}")
    for split in (UNSEEN, "test", "out_of_fold"):
        auc = report.get(split, {}).get("auc", {})
        if None not in (auc.get("value"), auc.get("ci_low"), auc.get("ci_high")):
            interval = {"auc": auc["value"], "ci_low": auc["ci_low"], "ci_high": auc["ci_high"]}
            return interval | {"patients": report[split]["patients"]}
    return None if run.parent is None else (run.parent.description.get("classifier") or {}).get("held_out")


def _kept(run: TrainingRun) -> SurvivalClassifier | None:
    """The parent's classifier and what it says of the run's patients; None if it has none."""
    network, scheme = run.parent.load_networks().classifier, run.parent.classifier_scheme
    if network is None:
        return None
    temperature = run.parent.description["classifier"]["temperature"]
    logits = _logits(network, run, np.arange(len(run.store)))
    probabilities = {
        run.patients[patient]["id"]: patient_probabilities(rows, temperature).tolist()
        for patient, rows in logits.items()
    }

    def report() -> dict[str, object]:
        _write_predictions(run, scheme, probabilities, set())
        known = [patient for patient, record in enumerate(run.patients) if true_class(record, scheme) is not None]
        return {UNSEEN: _figures(run, scheme, probabilities, known)} if known else {}

    run.once(f"classifier/{REPORT}", report, content_sha256(probabilities))
    return SurvivalClassifier(network, scheme, temperature, probabilities)


def _fit(run: TrainingRun, scheme: ClassScheme, rows: np.ndarray, name: str, select_on: np.ndarray) -> nn.Module:
    """Train one network; without slices to select on, the last weights are taken."""
    settings, seed = run.configuration.classifier, run.configuration.seed
    training = settings.training
    if not len(select_on):
        training = dataclasses.replace(training, select="last", patience=0)
    classes = {
        run.patients[patient]["id"]: true_class(run.patients[patient], scheme) for patient in _patients(run, rows)
    }
    torch.manual_seed(seed)
    module = ClassifierModule(settings, training.optimizer_steps(len(rows), run.machine.processes))
    fit(
        module,
        classifier_items(run.store, rows, scheme, settings, seed),
        classifier_validation(run.store, select_on, scheme, settings),
        run.folder / name,
        training,
        epoch_items=len(rows),
        seed=seed,
        machine=run.machine,
        made_from=run.made_from | {"labels": content_sha256(classes)},
    )
    return module.model.eval()


def _folds(run: TrainingRun, rows: np.ndarray, folds: int) -> np.ndarray:
    """Fold of every record (patients,), the same for all visits of a person; -1: not a training patient.

    Neighbors in survival go to different folds.
    """
    patients = _patients(run, rows)
    persons = person_numbers(run.patients)
    survival = np.array([run.patients[patient]["survival_days"] for patient in patients], dtype=np.float64)
    means = group_means(survival, persons[patients])
    numbers = np.unique(persons[patients])
    fold_of_person = np.full(len(run.patients), -1)
    fold_of_person[numbers[np.argsort(means, kind="stable")]] = np.arange(len(numbers)) % folds
    fold_of = np.full(len(run.patients), -1)
    fold_of[patients] = fold_of_person[persons[patients]]
    return fold_of


def _patients(run: TrainingRun, rows: np.ndarray) -> np.ndarray:
    """Records (n,) that slices belong to."""
    return np.unique(np.asarray(run.store.patient)[rows])


def _logits(network: nn.Module, run: TrainingRun, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Slice logits (slices, classes) of every patient among the rows."""
    pooling = run.configuration.classifier.pooling
    logits = patient_logits(network.to(run.device), run.store, _patients(run, rows), pooling)
    network.cpu()
    return logits


def _rows_of(run: TrainingRun, patients: Iterable[int]) -> np.ndarray:
    return np.flatnonzero(np.isin(np.asarray(run.store.patient), list(patients)))


def _write_predictions(
    run: TrainingRun, scheme: ClassScheme, probabilities: dict[str, list[float]], out_of_fold: set[int]
) -> None:
    lines = []
    for patient, record in enumerate(run.patients):
        chances = probabilities[record["id"]]
        label = true_class(record, scheme)
        lines.append(
            (
                record["id"],
                run.split[record["id"]],
                "out-of-fold" if patient in out_of_fold else "final",
                "" if label is None else scheme.classes[label].name,
                scheme.classes[int(np.argmax(chances))].name,
                *(f"{chance:.4f}" for chance in chances),
            )
        )
    columns = ("patient", "split", "classifier", "true_class", "predicted_class")
    of_classes = tuple(f"probability_{entry.name}" for entry in scheme.classes)
    write_csv((*columns, *of_classes), lines, run.folder / "classifier" / PREDICTIONS)


def _report(run: TrainingRun, scheme: ClassScheme, probabilities: dict[str, list[float]]) -> dict[str, object]:
    """Figures per split: out-of-fold for the training patients."""
    report: dict[str, object] = {}
    for split in ("train", "validation", "test"):
        known = [
            patient
            for patient, record in enumerate(run.patients)
            if run.split[record["id"]] == split and true_class(record, scheme) is not None
        ]
        if known:
            report["out_of_fold" if split == "train" else split] = _figures(run, scheme, probabilities, known)
    return report


def _figures(
    run: TrainingRun, scheme: ClassScheme, probabilities: dict[str, list[float]], patients: list[int]
) -> dict[str, object]:
    """How well patients of known class are classified."""
    chances = np.array([probabilities[run.patients[patient]["id"]] for patient in patients])
    labels = np.array([true_class(run.patients[patient], scheme) for patient in patients])
    return classification_report(chances, labels, run.configuration.seed, person_numbers(run.patients)[patients])
