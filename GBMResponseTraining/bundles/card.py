"""MODEL_CARD.md of a bundle: what it is, how it was trained, its held-out figures and its limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.probability import ProbabilityRule

from ..evaluation.metrics.image import HIGHER_IS_BETTER
from ..evaluation.score_tables import (
    appearance_table,
    best_baseline_table,
    score_table,
    scores_text,
    sentence_list,
)
from ..evaluation.sweep_table import sweep_table, sweep_text
from ..evaluation.tables import (
    TITLES,
    data_sentence,
    definition_sentence,
    note_list,
    patient_table,
    skill_table,
    slice_table,
    spread_table,
    spread_text,
    vq_vae_table,
    with_interval,
)

_HEADING = "## Held-out figures"
_NOT_EVALUATED = f"""\
{_HEADING}

This bundle has **not been evaluated**: nothing is known about how well it predicts."""
_LIMITS = """\
- It knows what its training data show, no more: other scanners, sequences, treatments or times after treatment are not
  covered. If patients were simulated, no figure measured on them says anything about real ones.
- A predicted image is one of many that are possible, not a forecast, and shows nothing that is not in the
  pre-treatment image, the GTV and the survival class.
- The survival class is a condition, not a prognosis; its limits are quantiles of the training patients.
- {slices}
- The metrics compare pixels. None of them has been shown to follow what matters clinically, and no clinical claim is
  made.
- The best of the baselines without a model is the one to beat. Where a table shows that it wins, it wins."""


def bundle_card(
    description: Mapping[str, Any],
    configuration: Mapping[str, Any],
    reports: Sequence[tuple[str, Mapping[str, Any]]],
    notes: str = "",
) -> str:
    """Return the Markdown text of the card.

    :param description: content of `bundle.json`; size and hash of the files are not needed.
    :param configuration: resolved configuration of the training.
    :param reports: title and content of `report.json` of evaluations with this bundle among their models, each one
        a section; none: not evaluated. A title may be empty.
    :param notes: how this run differed from a plain one, Markdown.
    """
    neighbors = description["neighbour_slices"]
    slices = "Axial slices are predicted one by one, so that a volume need not be consistent from slice to slice."
    if neighbors:
        slices = f"A slice is predicted from itself and {neighbors} neighbors on either side, not from the volume."
    parts = [
        f"# {description['name']} {description['version']}",
        f"**{SYNTHETIC_NOTICE}**",
        f"{description['description']} {description['intended_use']} License: {description['license']}.",
        "All outputs are **synthetic**. Method: Leclercq et al., doi 10.1007/978-3-032-05472-2_18.",
        "## What this model is not",
        _LIMITS.format(slices=slices),
        "## Training",
        f"Data: {description['training_data']}",
        _scheme_table(description["conditioning"]["schemes"]),
        _conditions(description),
        f"Configuration:\n\n```yaml\n{yaml.safe_dump(dict(configuration), sort_keys=False).rstrip()}\n```",
        f"## Notes\n\n{notes.strip()}" if notes.strip() else "",
        *(part for title, report in reports for part in _figures(description, title, report)),
        "" if reports else _NOT_EVALUATED,
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _scheme_table(schemes: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    if not schemes:
        return "The model knows no survival class."
    lines = [
        "Survival classes, days from the pre-treatment MRI:",
        "",
        "| scheme | class | from | to |",
        "|---|---|---|---|",
    ]
    for scheme, classes in schemes.items():
        for entry in classes:
            low, high = ("-" if entry[key] is None else f"{entry[key]:g}" for key in ("min_days", "max_days"))
            lines.append(f"| {scheme} | {entry['name']} | {low} | {high} |")
    return "\n".join(lines)


def _conditions(description: Mapping[str, Any]) -> str:
    conditioning, sampling = description["conditioning"], description["sampling"]
    dropout = conditioning["label_dropout"]
    sentences = []
    if conditioning["schemes"]:
        sentences.append(
            f"Share of training items without class: {dropout:g}."
            if dropout
            else "No training item was without class, so guidance is not possible."
        )
    days = conditioning.get("default_days_since_rt")
    if days is not None:
        sentences.append(f"Told the days since the start of radiotherapy; {days:g} if none are given.")
    steps = f"{sampling['sampler']} with {sampling['steps']} steps"
    sentences.append(f"Sampled by default with {steps}, guidance scale {sampling['guidance_scale']:g}.")
    found_by = EnhancementRule.with_head(description.get("enhancement_head"))
    sentences.append(f"Enhancing tissue: {found_by}.")
    rule = description.get("enhancement_probability")
    if rule is not None:
        made = f"Probability of enhancement: {ProbabilityRule(**rule)}"
        sentences.append(f"{made}, as fits validation patients best.")
    return " ".join(sentences)


def _figures(description: Mapping[str, Any], title: str, report: Mapping[str, Any]) -> list[str]:
    """One section: what an evaluation found."""
    heading = f"{_HEADING}: {title}" if title else _HEADING
    own = [
        model["name"]
        for model in report["models"]
        if (model["bundle"]["name"], model["bundle"]["version"]) == (description["name"], description["version"])
    ]
    if not own:
        return [heading, "The evaluation of its run has no row for this bundle: it has **not been evaluated**."]
    parts = [
        heading,
        data_sentence(report),
        f"Rows of this bundle: {', '.join(own)}. {definition_sentence(report)}",
        *(_against_baselines(report, name) for name in own),
        "Mean ± SD over slices:",
        slice_table(report),
        "Mean ± SD over patients, with the 95 % patient-bootstrap interval of the mean:",
        patient_table(report),
        "Skill against the best baseline of each column (1 perfect, 0 as good as that), with its interval:",
        skill_table(report),
        "Image autoencoder, reconstruction of the true slices:",
        vq_vae_table(report),
        _failures(report, own),
        *(_scores(report) if report.get("scores") else []),
        *([spread_text(report), spread_table(report)] if report.get("spread") else []),
        *([sweep_text(report), sweep_table(report)] if _has_sweep(report, own) else []),
        # Rows of one network have one classifier.
        *dict.fromkeys(_classifier(report["classifier"][name]) for name in own if name in report["classifier"]),
        note_list(report),
    ]
    return parts


def _scores(report: Mapping[str, Any]) -> list[str]:
    """Proper scores beside the best baseline, those that baselines win first."""
    return [
        scores_text(report),
        sentence_list(report),
        "Means over patients with their intervals; bold: better than the best baseline.",
        score_table(report),
        "Skill against the best baseline (1 perfect, 0 as good), its interval and that baseline:",
        best_baseline_table(report),
        "Appearance; sharpness and flicker: 1 is as the true follow-up:",
        appearance_table(report),
    ]


def _has_sweep(report: Mapping[str, Any], own: Sequence[str]) -> bool:
    """Whether the report has a guidance sweep of one of these models, with the truth."""
    sweep = report.get("guidance_sweep")
    return bool(sweep) and sweep["model"] in own and "truth" in sweep


def _failures(report: Mapping[str, Any], own: Sequence[str]) -> str:
    """The worst slices, without saying whose they are."""
    failures = report.get("failures")
    if not failures or failures["model"] not in own:
        return ""
    worst = ", ".join(f"{entry['ssim_local']:.2f} ({entry['ssim_local_copy']:.2f})" for entry in failures["slices"])
    return (
        f"Worst slices of {failures['model']} against the copy of the pre image, one per patient, by local SSIM with "
        f"that of the copy in brackets: {worst}. `failures.png` of the evaluation shows them."
    )


def _against_baselines(report: Mapping[str, Any], name: str) -> str:
    """Where a baseline is at least as good as the model, by the mean over patients."""
    others = {other: row["metrics"] for other, row in report["table"].items() if row["kind"] == "baseline"}
    lost: dict[str, list[str]] = {}
    for metric, values in report["table"][name]["metrics"].items():
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        known = {
            o: sign * row[metric]["patient_mean"]
            for o, row in others.items()
            if row[metric]["patient_mean"] is not None
        }
        best = max(known, key=known.__getitem__, default=None)
        if values["patient_mean"] is not None and best is not None and sign * values["patient_mean"] <= known[best]:
            lost.setdefault(best, []).append(TITLES[metric])
    if not lost:
        return f"{name} is better than every baseline in every column, by the mean over patients."
    parts = [f"the {other} in {', '.join(titles)}" for other, titles in lost.items()]
    return f"**At least as good as {name}, by the mean over patients: {'; '.join(parts)}.**"


def _classifier(figures: Mapping[str, Any]) -> str:
    accuracy, auc = figures["accuracy"], figures["auc"]
    text = (
        f"Survival classifier, {figures['scheme']}, {figures['patients']} patients: accuracy "
        f"{with_interval(accuracy, 'value', '{:.2f}')} (always the most frequent class: "
        f"{figures['majority_accuracy']:.2f})"
    )
    if auc["value"] is not None:
        text += f", AUC {with_interval(auc, 'value', '{:.2f}')} (chance: 0.50)"
    return f"{text}. Brackets: 95 % patient-bootstrap interval."
