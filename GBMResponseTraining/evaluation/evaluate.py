"""Evaluate model bundles on the held-out patients of a slice store: Table 1, its baselines, tests and figure."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.files import ensure_output_folder, write_json
from GBMResponseCore.inputs.preprocessing import NormalizationSettings
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.probability import ProbabilityRule
from GBMResponseCore.model.runtime import choose_device

from ..items.fingerprints import store_sha256
from ..models.lpips import load_lpips_if_present
from ..store.leakage import SplitCheck, check_training_split
from ..store.slice_store import open_store, read_patients, write_store
from .class_effect import guidance_sweep, true_difference
from .enhancement import Zone, enhancement_zones, enhancing_ml
from .held_out import EvaluationError, HeldOut, read_held_out, stored_split, training_mean
from .metrics.classification import classification_report
from .metrics.image import summarize
from .model_predictions import (
    ClassAssignment,
    EvaluatedModel,
    LoadedModel,
    OpenedModel,
    assign_classes,
    class_probabilities,
    has_codes,
    head_sha256,
    networks_sha256,
    open_model,
    predict_slices,
    reconstruct,
)
from .options import EvaluationOptions, Measure
from .report import evaluation_notes, report_of
from .results import (
    COPY,
    EXPECTED,
    REPORT,
    TRAINING_MEAN,
    UPPER_BOUND,
    EvaluatedStore,
    EvaluationResult,
    ModelResult,
    Prediction,
    Reconstruction,
    Row,
)
from .score_baselines import (
    AUTOENCODER,
    BASELINES,
    BLURRED,
    Usual,
    autoencoder_row,
    baseline_rows,
    best_blur,
    blurred_copy,
    usual_of_store,
)
from .score_tables import write_scores
from .scores import SampleScores, Target
from .slices import write_figures, write_slices
from .spread import FEWEST_SAMPLES, evaluate_spread
from .sweep_table import write_guidance_sweep
from .tables import write_paired_tests, write_spread, write_table1, write_vq_vae_table

WITHOUT_CODEBOOK = ", without the codebook"

_FINISHED = "predictions"
_TRAINED_PATIENTS, _TRAINED_SLICES = 1000, 2
"""At most, for the class effect of training patients."""


def evaluate(
    models: Sequence[EvaluatedModel], store_folder: Path, out: Path, options: EvaluationOptions | None = None
) -> dict[str, Any]:
    """Predict the held-out slices with every model, compare with the truth, and write tables, tests and Figure 4.

    Finished slices are kept in `OUT/predictions`, so the same request continues after a cancel or a crash, and other
    metrics of the same predictions cost no sampling. The folder may be deleted afterwards.

    :param store_folder: slice store with its `patient_split.csv`.
    :param out: folder for `report.json`, `table1.*`, `per_slice.csv`, `per_patient.csv`, `paired_tests.*`, `vq_vae.md`,
        `figure4.*`, `failures.png` and, if asked for, `guidance_sweep.*` and the stores `truths` and `samples`; with
        several samples `scores*` and `baselines.json`, and with 5 or more `spread.md`.
    :return: the content of `report.json`.
    :raises EvaluationError: there is no model or no slice, names are not unique, or a model does not fit the slices.
    :raises SplitError, LeakageError: the store has no split, or a patient was trained with.
    :raises BundleError: a bundle is missing, damaged or not valid.
    :raises OptionError, GuidanceError: a model cannot do what is asked.
    :raises OutputFolderError: a file cannot be written.
    """
    options = options or EvaluationOptions()
    _check_names(models)
    split, records = stored_split(store_folder), read_patients(store_folder)
    checks = [check_training_split(model.bundle, split, records) for model in models]
    slices = read_held_out(store_folder, options.split, options.max_slices_per_patient)
    opened = [open_model(model, options.sampling, options.compose) for model in models]
    for model in opened:
        _check_fit(model, slices, options)
    to_sweep = _model_to_sweep(opened) if options.guidance_sweep else None
    mean = training_mean(store_folder)
    tuning_store = options.tuning_store or store_folder
    usual = usual_of_store(tuning_store, segmenter_of(opened))
    trained = None
    if to_sweep is not None and "train" in stored_split(tuning_store).values():
        most = min(options.max_slices_per_patient or _TRAINED_SLICES, _TRAINED_SLICES)
        trained = read_held_out(tuning_store, "train", most, _TRAINED_PATIENTS)
    out = ensure_output_folder(out)
    store = EvaluatedStore(store_folder.resolve().name, store_sha256(open_store(store_folder)))
    result = evaluate_models(opened, checks, slices, mean, options, out / _FINISHED, store, to_sweep, usual, trained)
    report = report_of(result)
    _write(result, report, out)
    return report


def segmenter_of(models: Sequence[OpenedModel]) -> EnhancementRule:
    """What finds enhancing tissue in all pictures of an evaluation: that of the first model's bundle."""
    return EnhancementRule.with_head(models[0].bundle.enhancement_head)


def evaluate_models(
    models: Sequence[OpenedModel],
    checks: Sequence[SplitCheck],
    slices: HeldOut,
    training_mean: np.ndarray | None,
    options: EvaluationOptions,
    finished: Path,
    store: EvaluatedStore,
    to_sweep: OpenedModel | None = None,
    usual: Usual | None = None,
    trained: HeldOut | None = None,
) -> EvaluationResult:
    """Evaluate opened models and the baselines.

    :param checks: what is known of the split of each model's training.
    :param training_mean: (H, W), see :func:`.held_out.training_mean`.
    :param finished: folder that keeps finished slices.
    :param to_sweep: the model whose guidance scales are compared.
    :param usual: what training patients tell; None leaves out the baselines that need it.
    :param trained: training patients, whose true class effect stands beside the sweep.
    """
    lpips = load_lpips_if_present()
    if lpips is not None:
        lpips.to(choose_device(options.device))
    measure = options.measure(slices, lpips)
    wants_volumes = options.samples >= FEWEST_SAMPLES
    zones = enhancement_zones(slices, segmenter_of(models)) if options.samples > 1 or to_sweep else None
    target = Target(slices, zones, options.samples) if options.samples > 1 else None
    copies = {COPY: slices.pre, BLURRED: blurred_copy(slices)}
    baselines = [Row(name, "baseline", measure(images, slices.post)) for name, images in copies.items()]
    if training_mean is not None:
        images = np.broadcast_to(training_mean, slices.pre.shape)
        baselines.append(Row(TRAINING_MEAN, "baseline", measure(images, slices.post)))
    names = [model.model.name for model in models]
    figure_model = next((model.model.name for model in models if model.model.class_source == "predicted"), names[0])
    results: list[ModelResult] = []
    autoencoders: set[str] = set()
    images = None
    # One at a time: the networks of the paper's four models together would need several gigabytes.
    loaded = None
    for model, check in zip(models, checks, strict=True):
        if loaded is not None and not loaded.shares_networks(model):
            loaded = None
        loaded = model.load(options.device, options.precision, options.batch_size, loaded)
        assigned = assign_classes(loaded, slices)
        prediction, first = predict(
            loaded, slices, assigned, measure, options, finished, zones if wants_volumes else None, target
        )
        images = first if model.model.name == figure_model else images
        reconstruction = None
        if loaded.autoencoder not in autoencoders:
            title = f"{UPPER_BOUND}, {model.model.name}" if autoencoders else UPPER_BOUND
            copy = f"{AUTOENCODER}, {model.model.name}" if autoencoders else AUTOENCODER
            reconstruction = evaluate_reconstruction(loaded, slices, measure, title, target, copy)
            autoencoders.add(loaded.autoencoder)
        sweep = None
        if model is to_sweep:
            sweep = guidance_sweep(
                loaded,
                slices,
                options.guidance_sweep,
                zones,
                options.measure(slices),
                seed=options.seed,
                finished=finished,
            )
            if trained is not None:
                others = enhancement_zones(trained, segmenter_of(models))
                sweep["truth_of_training"] = true_difference(trained, loaded.scheme, others)
        results.append(
            ModelResult(
                name=model.model.name,
                description=_describe(loaded, assigned, check, slices),
                assigned=assigned,
                prediction=prediction,
                classifier=evaluate_classifier(loaded, slices),
                reconstruction=reconstruction,
                sweep=sweep,
            )
        )
    volumes = {result.name: result.prediction.volumes for result in results}
    factors = {model.model.name: model.bundle.volume_interval_factor for model in models}
    spread = evaluate_spread(slices, zones, volumes, factors) if wants_volumes else None
    scored, fitted = [], None
    if target is not None:
        blur = best_blur(target)
        fitted = {"blur": asdict(blur), "training": None if usual is None else asdict(usual)}
        scored = baseline_rows(target, blur, usual)
        scored += [result.reconstruction.scored for result in results if result.reconstruction]
        scored += [result.prediction.scored for result in results]
    notes = evaluation_notes(results, slices, options, has_lpips=lpips is not None, spread=spread)
    return EvaluationResult(
        slices, options, store, baselines, results, figure_model, images, spread, scored, fitted, notes
    )


def predict(
    loaded: LoadedModel,
    slices: HeldOut,
    assigned: ClassAssignment,
    measure: Measure,
    options: EvaluationOptions,
    finished: Path,
    zones: Sequence[Zone] | None,
    target: Target | None = None,
) -> tuple[Prediction, np.ndarray]:
    """Make and measure the samples and the expected image of one model; the first sample (n, H, W) is returned too.

    :param zones: where enhancing volumes are measured; None: they are not.
    :param target: what proper scores compare the samples with; None: they are not scored.
    """
    samples, volumes, first = [], [], None
    rule = ProbabilityRule(**loaded.predictor.bundle.enhancement_probability)
    scores = None if target is None else SampleScores(target, rule)
    for sample in range(options.samples):
        images = predict_slices(loaded, slices, assigned.tokens, seed=options.seed, sample=sample, finished=finished)
        samples.append(measure(images, slices.post))
        if zones is not None:
            volumes.append(enhancing_ml(images, slices, zones))
        if scores is not None:
            scores.add(images)
        first = images if first is None else first
    name, classes = loaded.model.name, [assigned.names[patient] for patient in slices.patient]
    images = predict_slices(loaded, slices, assigned.tokens, seed=options.seed, sample=None, finished=finished)
    expected = Row(f"{name}, {EXPECTED}", EXPECTED, measure(images, slices.post), classes)
    row = Row(name, "model", [_mean_of(rows) for rows in zip(*samples, strict=True)], classes)
    scored = None if scores is None else scores.row(name)
    return Prediction(row, expected, np.stack(volumes) if volumes else None, scored), first


def evaluate_reconstruction(
    loaded: LoadedModel,
    slices: HeldOut,
    measure: Measure,
    title: str,
    target: Target | None = None,
    copy: str = AUTOENCODER,
) -> Reconstruction:
    """Encode and decode the true slices with a model's image autoencoder, also without its codebook if it has one.

    :param title: of the row of the follow-ups.
    :param target: what proper scores compare the pre-treatment slices with; None: they are not scored.
    :param copy: title of these.
    """
    rows, scored, copied = {}, None, None
    for note in ("", WITHOUT_CODEBOOK) if has_codes(loaded) else ("",):
        for image, stack in {"pre": slices.pre, "post": slices.post}.items():
            decoded = reconstruct(loaded, stack, quantized=not note)
            rows[image + note] = measure(decoded, stack)
            if image + note == "pre":
                copied = Row(copy, "baseline", measure(decoded, slices.post))
                scored = autoencoder_row(copy, decoded, target) if target is not None else None
    summary = {image: summarize(values, slices.person) for image, values in rows.items()}
    return Reconstruction(Row(title, "upper bound", rows["post"]), copied, summary, scored)


def evaluate_classifier(loaded: LoadedModel, slices: HeldOut) -> dict[str, Any] | None:
    """Figures of a model's classifier with their scheme; None if it has none, or no class is known."""
    found = class_probabilities(loaded, slices)
    if found is None:
        return None
    figures = classification_report(found.probabilities, found.labels, persons=found.persons)
    return {"scheme": found.scheme.name, **figures}


def _write(result: EvaluationResult, report: dict[str, Any], out: Path) -> None:
    write_slices(result.rows, result.slices, out)
    data = report["data"]
    about = f"{data['description']}, {report['split']} split, {data['patients']} patients"
    figure_row, copy_row = result.row(result.figure_model), result.row(COPY)
    write_figures(result.images, figure_row, copy_row, result.slices, result.options.figure_slices, about, out)
    write_table1(report, out)
    write_vq_vae_table(report, out)
    write_paired_tests(report, out)
    if result.options.stores:
        for name, images in (("truths", result.slices.post), ("samples", result.images)):
            _write_store(out / name, images, result.slices)
    if report["guidance_sweep"]:
        write_guidance_sweep(report, out)
    if report["spread"]:
        write_spread(report, out)
    if report["scores"]:
        write_scores(report, result.scored, result.slices, out)
    write_json(report, out / REPORT)


def _write_store(folder: Path, images: np.ndarray, slices: HeldOut) -> None:
    """A slice store whose follow-ups are images (n, H, W)."""
    pre, post = slices.pre.astype(np.float16), images.astype(np.float16)
    write_store(ensure_output_folder(folder), pre, post, slices.gtv, slices.patient, slices.records)


def _check_names(models: Sequence[EvaluatedModel]) -> None:
    names = [model.name for model in models]
    if not names:
        raise EvaluationError("There is no model to evaluate.", "Name one with --model, or a run with --run.")
    taken = {COPY, TRAINING_MEAN, UPPER_BOUND, *BASELINES}
    for name in names:
        if names.count(name) > 1 or name in taken:
            raise EvaluationError(f"The name {name!r} is used twice.", "Give every model a name of its own.")


def _check_fit(opened: OpenedModel, slices: HeldOut, options: EvaluationOptions) -> None:
    """Make sure that a model can see the slices as it was trained to."""
    name, bundle = opened.model.name, opened.bundle
    size = bundle.in_plane_rule.size
    rows, columns = slices.pre.shape[1:]
    remedy = "Use the slice store that the model was trained with, or one of the same import settings."
    if (rows, columns) != (size, size):
        raise EvaluationError(
            f"{name} predicts slices of {size} x {size} pixels, the store has {rows} x {columns}.", remedy
        )
    for record in slices.records:
        stated = record.get("preprocessing", {}).get("intensity")
        if stated is not None and NormalizationSettings.from_dict(stated) != bundle.normalization:
            raise EvaluationError(f"{name} expects other intensities than the store has.", remedy)
    if bundle.neighbor_slices and options.max_slices_per_patient is not None:
        raise EvaluationError(
            f"{name} looks at neighboring slices, which a selection of slices lacks.", "Evaluate all slices."
        )


def _model_to_sweep(opened: Sequence[OpenedModel]) -> OpenedModel:
    for model in opened:
        if model.model.scheme is not None and model.bundle.label_dropout > 0:
            return model
    raise EvaluationError(
        "No model can be guided: that takes a class scheme and training with label dropout.",
        "Leave out --guidance-sweep, or add a model with classes.",
    )


def _mean_of(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric of one slice over its samples."""
    return {name: float(np.mean([row[name] for row in samples])) for name in samples[0]}


def _describe(
    loaded: LoadedModel, assigned: ClassAssignment, split_check: SplitCheck, slices: HeldOut
) -> dict[str, Any]:
    bundle = loaded.predictor.bundle
    return {
        "name": loaded.model.name,
        "bundle": {
            "name": bundle.name,
            "version": bundle.version,
            "networks_sha256": networks_sha256(bundle),
            "enhancement_head_sha256": head_sha256(bundle),
            "enhancement_probability": bundle.enhancement_probability,
            "volume_interval_factor": bundle.volume_interval_factor,
        },
        "scheme": loaded.model.scheme,
        "class_source": loaded.model.class_source,
        "sampling": asdict(loaded.sampling),
        "training_split_checked": split_check.known,
        "ids_of_other_people_trained_with": len(split_check.same_ids),
        "patients_seen_by_autoencoder": sum(
            record["id"] in split_check.seen_by_autoencoder for record in slices.records
        ),
        "patients_per_class": {name: assigned.names.count(name) for name in sorted(set(assigned.names))},
        "patients_of_unknown_class": len(assigned.unknown),
    }
