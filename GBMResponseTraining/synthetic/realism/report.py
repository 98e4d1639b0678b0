"""The report of the realism check as Markdown."""

from __future__ import annotations

from typing import Any

from ...evaluation.tables import with_interval
from .classifiers import FEATURES

_READING = """\
## How to read it

- AUC: chance that the classifier gives a random real patch a higher score than a random simulated one. 0.5: it finds no
  difference. 1: it always tells them apart. Well below 0.5: what it learned from some real patients is the
  opposite in others, which happens with few of them.
- In brackets: 95 % interval over patients, real and simulated ones drawn apart. Networks are not trained again for
  each draw, so that it is too narrow rather than too wide.
- Baselines are logistic regressions on one number per patch, or on all three. Where they come near the network,
  brightness, contrast, noise or blur alone give the simulation away.
- Smoothed patches have lost noise and fine detail (Gaussian of 2 pixels, half the resolution): what the network still
  finds there is in shapes, contrast and brightness.
- AUC of training: how well the classifier separates the patients that it knows. If it is high and the other is not, it
  has learned those real patients by heart, and the check is weak; if it is low, it was trained too short.
- A real patient with another AUC than the others looks different to the classifier, perhaps because of the machine."""


def realism_markdown(report: dict[str, Any]) -> str:
    """Every figure with what limits it."""
    simulated, real, options = report["simulated"], report["real"], report["options"]
    parts = [
        "# Realism check",
        f"**{report['statement']}** Simulated patches are synthetic; real ones are not.",
        f"Can a small classifier tell simulated from real T1-Gd patches of {options['patch_pixels']} x "
        f"{options['patch_pixels']} pixels around the GTV, which is not shown to it?",
        f"- Simulated: {_counts(simulated)}.\n- Real: {_counts(real)}.",
        f"**{real['patients']} real patients limit what this means.** Another scanner, sequence or hospital would give "
        "another figure: a high AUC says that the simulation is not like these patients, and a low one does not prove "
        "that it is like patients in general.",
        *(_section(image, test, options) for image, test in report["tests"].items()),
        _READING,
        "![24 simulated slices beside 24 real ones](montage.png)",
    ]
    return "\n\n".join(parts) + "\n"


def auc_table(test: dict[str, Any]) -> str:
    """AUC of the network and of the baselines."""
    rows = {"network": test["network"], "network, smoothed patches": test["network_smoothed"]}
    rows |= {f"baseline: {name}": row for name, row in test["baselines"].items()}
    lines = ["| classifier | AUC, held-out patients [95 %] | AUC of training |", "|---|---|---|"]
    lines += [
        f"| {name} | {with_interval(row['auc'], 'value', '{:.2f}')} | {row['auc_of_training']:.2f} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def _section(image: str, test: dict[str, Any], options: dict[str, Any]) -> str:
    by_patient = ", ".join(f"{value:.2f}" for value in test["network"]["auc_by_real_patient"])
    lines = ["| median of the patches | simulated | real |", "|---|---|---|"]
    simulated, real = test["features"]["simulated"], test["features"]["real"]
    lines += [
        f"| {name}{' (log)' if name == 'noise' else ''} | {simulated[name]:.3f} | {real[name]:.3f} |"
        for name in FEATURES
    ]
    return "\n\n".join(
        [
            f"## {image.capitalize()}-treatment images",
            auc_table(test),
            f"{test['folds']} folds, no patient in training and test of one; network of "
            f"{options['network_parameters']} parameters, {options['steps']} steps, seed {options['seed']}.",
            f"Network, each real patient against the simulated ones held out with it: {by_patient}.",
            "\n".join(lines),
        ]
    )


def _counts(entry: dict[str, Any]) -> str:
    text = f"store `{entry['store']}`, {entry['patients']} patients, {entry['patches']} slices with GTV"
    if entry["patients"] < entry["patients_in_store"]:
        text += f" (of {entry['patients_in_store']} patients)"
    if entry["pixel_mm"]:
        low, middle, high = entry["pixel_mm"]
        text += f", pixels of {low:.2f} to {high:.2f} mm, median {middle:.2f}"
    return text
