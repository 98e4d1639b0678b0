"""The tables of an evaluation, written from its report: Table 1, autoencoders, paired tests and spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.files import write_csv, write_text
from GBMResponseCore.measure.interval import SOFTENING_ML

from .metrics.image import HIGHER_IS_BETTER, NAMES
from .spread import LEVELS
from .statistics import skill

TITLES = {
    "psnr": "PSNR",
    "psnr_local": "PSNR local",
    "ssim": "SSIM",
    "ssim_local": "SSIM local",
    "lpips": "LPIPS",
    "mse": "MSE",
    "mse_local": "MSE local",
}
_FORMS = {"psnr": "{:.2f}", "psnr_local": "{:.2f}", "mse": "{:.4f}", "mse_local": "{:.4f}"}
_STATISTICS = ("mean", "sd", "patient_mean", "patient_sd", "ci_low", "ci_high")
_TEST_COLUMNS = (
    "metric", "first", "second", "patients", "difference", "ci_low", "ci_high", "rank_biserial", "p", "p_holm",
)  # fmt: skip

_ABOUT_TESTS = """\
Unit: the patient. Difference of patient means with its 95 % patient-bootstrap interval; two-sided Wilcoxon signed-rank
test; matched-pairs rank-biserial correlation as effect size; Holm's correction over all pairs of one metric. With few
patients even a large effect can stay above any threshold: six who all agree are the fewest that can give p < 0.05,
before the correction."""


def write_table1(report: Mapping[str, Any], out: Path) -> None:
    """Write `table1.csv` and `table1.md`.

    :raises OutputFolderError: if a file cannot be written.
    """
    metrics = _metrics(report)
    columns = ["model", "kind", *(f"{name}_{value}" for name in metrics for value in _STATISTICS)]
    columns += [f"skill_{name}_{value}" for name in _skill_names(report) for value in ("value", "ci_low", "ci_high")]
    lines = []
    for model, row in report["table"].items():
        line = [model, row["kind"], *(row["metrics"][name][value] for name in metrics for value in _STATISTICS)]
        for name in _skill_names(report):
            line += [row["skill"][name][value] for value in ("value", "ci_low", "ci_high")]
        lines.append(line)
    write_csv(columns, lines, out / "table1.csv")
    write_text(table1_markdown(report), out / "table1.md")


def table1_markdown(report: Mapping[str, Any]) -> str:
    """Table 1 in the paper's layout with baselines, then the means over patients and the skill."""
    no_bound = "; in LPIPS it is no bound" if "lpips" in _metrics(report) else ""
    parts = [
        "# Table 1",
        f"**{SYNTHETIC_NOTICE}** All predictions are synthetic.",
        data_sentence(report),
        definition_sentence(report),
        "Mean ± SD over slices; the best model of each column in bold. Rows without a model are baselines: the best of "
        "them is the one to beat. The autoencoder's reconstruction of the truth is about the best that a model in its "
        f"latents can reach in MSE, PSNR and SSIM{no_bound}.",
        slice_table(report),
        "## Patients",
        "Slices of a patient are not independent. Mean ± SD over patients (each the mean over the patient's slices), "
        "with the 95 % patient-bootstrap interval of the mean.",
        patient_table(report),
        "## Skill",
        "1 - error / error of the best baseline of the column, with its 95 % patient-bootstrap interval: 1 is perfect, "
        "0 as good as that baseline, below 0 worse. A blur wins MSE and PSNR: `scores.md` has measures that it cannot "
        "win.",
        skill_table(report),
        note_list(report),
    ]
    return join_parts(parts)


def data_sentence(report: Mapping[str, Any]) -> str:
    """Which data the figures are from."""
    data = report["data"]
    whose = data.get("store_sha256")
    text = (
        f"Data: {data['description']}, slice store `{data['store']}`{f' ({whose[:8]})' if whose else ''}, split "
        f"`{report['split']}`: {data['patients']} patients, {_slices(data)}"
    )
    if data["slices_without_gtv"]:
        text += f" ({data['slices_without_gtv']} without GTV have no local values)"
    return text + "."


def _slices(data: Mapping[str, Any]) -> str:
    """How many slices were evaluated, of how many, and how far apart those of the store lie."""
    every = data.get("slices_of_these_patients")
    text = f"{data['slices']} slices" if every in (None, data["slices"]) else f"{data['slices']} of {every} slices"
    spacing = data.get("slice_spacing_mm")
    if not spacing:
        return text
    low, median, high = (f"{value:.3g}" for value in spacing)
    return f"{text} that lie {low} mm apart" if low == high else f"{text} that lie {median} mm apart ({low} to {high})"


def note_list(report: Mapping[str, Any]) -> str:
    """What a reader of the figures must know, as a list."""
    return "\n".join(f"- {note}" for note in report["notes"])


def definition_sentence(report: Mapping[str, Any]) -> str:
    """How metrics and samples were made."""
    options = report["options"]
    samples = options["samples"]
    drawn = "One sample per slice" if samples == 1 else f"Mean over {samples} samples per slice"
    if report["metrics"] == "authors":
        text = "Metrics as the authors' code defines them (range of the SSIM by batch, predictions unclipped)."
    else:
        text = "Metrics of slices clipped to [-1, 1], data range 2; local: inside the pre-treatment GTV."
    shown = "composed with the pre-treatment image away from the GTV" if options.get("compose") else "whole slices"
    return f"{text} {drawn}, seed {options['seed']}; {shown}."


def slice_table(report: Mapping[str, Any]) -> str:
    """Mean ± SD over slices."""
    metrics = _metrics(report)
    best = {name: _best(report, name) for name in metrics}
    rows = []
    for model, row in report["table"].items():
        cells = []
        for name in metrics:
            values = row["metrics"][name]
            mean = number(values["mean"], name)
            is_best = row["kind"] == "model" and mean == best[name]
            cells.append(f"{f'**{mean}**' if is_best else mean} ± {number(values['sd'], name)}")
        rows.append([model, *cells])
    return markdown_table(["model", *map(arrow, metrics)], rows)


def patient_table(report: Mapping[str, Any]) -> str:
    """Mean ± SD over patients [95 % interval of the mean]."""
    metrics = _metrics(report)
    rows = []
    for model, row in report["table"].items():
        cells = []
        for name in metrics:
            mean, sd, low, high = (number(row["metrics"][name][value], name) for value in _STATISTICS[2:])
            cells.append(f"{mean} ± {sd} [{low}, {high}]")
        rows.append([model, *cells])
    return markdown_table(["model", *map(arrow, metrics)], rows)


def skill_table(report: Mapping[str, Any]) -> str:
    """Skill [95 % interval] in every error."""
    names = _skill_names(report)
    rows = [
        [model, *(with_interval(row["skill"][name], "value", "{:.3f}") for name in names)]
        for model, row in report["table"].items()
    ]
    return markdown_table(["model", *(TITLES[name] for name in names)], rows)


def write_vq_vae_table(report: Mapping[str, Any], out: Path) -> None:
    """Write `vq_vae.md`.

    :raises OutputFolderError: if the file cannot be written.
    """
    write_text(
        join_parts(
            [
                "# Image autoencoder",
                f"**{SYNTHETIC_NOTICE}**",
                data_sentence(report),
                "Slices encoded and decoded by the image autoencoder, quantized between if it has codes, against "
                "themselves. Mean ± SD over slices; in brackets the 95 % patient-bootstrap interval of the mean over "
                "patients. A diffusion model in its latents can hardly come nearer to the truth. Without the codebook, "
                "the latents are decoded as they are: what is lost even then is lost by encoder and decoder.",
                vq_vae_table(report),
                note_list(report),
            ]
        ),
        out / "vq_vae.md",
    )


def vq_vae_table(report: Mapping[str, Any]) -> str:
    """PSNR, SSIM and LPIPS of the reconstruction of pre- and post-treatment slices."""
    metrics = [name for name in ("psnr", "ssim", "lpips") if name in _metrics(report)]
    rows = []
    for name, images in report["vq_vae"].items():
        for image, values in images.items():
            cells = [
                f"{number(values[m]['mean'], m)} ± {number(values[m]['sd'], m)} "
                f"[{number(values[m]['ci_low'], m)}, {number(values[m]['ci_high'], m)}]"
                for m in metrics
            ]
            rows.append([name, image, *cells])
    return markdown_table(["autoencoder", "slices", *map(arrow, metrics)], rows)


def write_paired_tests(report: Mapping[str, Any], out: Path) -> None:
    """Write `paired_tests.csv` and `paired_tests.md`.

    :raises OutputFolderError: if a file cannot be written.
    """
    tests = report["paired_tests"]
    write_csv(_TEST_COLUMNS, [[test[column] for column in _TEST_COLUMNS] for test in tests], out / "paired_tests.csv")
    rows = [
        [
            TITLES[test["metric"]],
            test["first"],
            test["second"],
            str(test["patients"]),
            with_interval(test, "difference", "{:.4g}"),
            formatted("{:.2f}", test["rank_biserial"]),
            formatted("{:.3g}", test["p"]),
            formatted("{:.3g}", test["p_holm"]),
        ]
        for test in tests
    ]
    titles = ["metric", "first", "second", "patients", "first - second [95 % CI]", "rank-biserial", "p", "p (Holm)"]
    text = join_parts(
        [
            "# Paired tests",
            f"**{SYNTHETIC_NOTICE}**",
            data_sentence(report),
            _ABOUT_TESTS,
            markdown_table(titles, rows) if rows else "There is nothing to compare.",
        ]
    )
    write_text(text, out / "paired_tests.md")


def write_spread(report: Mapping[str, Any], out: Path) -> None:
    """Write `spread.md`.

    :raises OutputFolderError: if the file cannot be written.
    """
    parts = ["# Spread of the samples", f"**{SYNTHETIC_NOTICE}**", data_sentence(report), spread_text(report)]
    write_text(join_parts([*parts, spread_table(report), note_list(report)]), out / "spread.md")


def spread_text(report: Mapping[str, Any]) -> str:
    """How the spread of the samples is judged."""
    spread = report["spread"]
    factors = {values["interval_factor"] for values in spread["models"].values()} - {1.0}
    widened = ", with the factor by which its bundle widens it" if factors else ""
    return (
        f"Enhancing volume of {spread['patients']} patients in {spread['samples']} samples, against that of the "
        f"follow-up by the same rule (mean {spread['true_mean_ml']:.2f} ml). Coverage: share of patients whose true "
        f"volume lies in Student's prediction interval of the samples, on log(volume + {SOFTENING_ML:g} ml){widened}; "
        "it should be the percentage above. Rank of the truth among the samples: 33 % in each third if the spread is "
        "right, little in the middle if it is too small, most in the upper third if volumes are too small. In brackets "
        "95 % patient-bootstrap intervals. Slices are sampled one by one, which makes the spread of their sum smaller "
        "than that of a patient's possible volumes."
    )


def spread_table(report: Mapping[str, Any]) -> str:
    """Coverage, ranks, SD and error of the volumes of every model, above those of the copy."""
    spread = report["spread"]
    titles = [
        "model", *(f"{level} % interval" for level in LEVELS), "truth in lower / middle / upper third",
        "SD of samples, ml", "mean, ml", "mean absolute error, ml",
    ]  # fmt: skip
    rows = []
    for name, values in spread["models"].items():
        cells = [with_interval(values["coverage"][str(level)], "value", "{:.0%}") for level in LEVELS]
        cells.append(" / ".join(f"{share:.0%}" for share in values["rank_thirds"]))
        figures = ("mean_sd_ml", "mean_ml", "mean_absolute_error_ml")
        rows.append([name, *cells, *(with_interval(values[figure], "value", "{:.2f}") for figure in figures)])
    copied = [
        with_interval(spread["copy"][figure], "value", "{:.2f}") for figure in ("mean_ml", "mean_absolute_error_ml")
    ]
    rows.append(["copy of the pre image", *["–"] * (len(LEVELS) + 2), *copied])
    return markdown_table(titles, rows)


def _metrics(report: Mapping[str, Any]) -> list[str]:
    return [name for name in NAMES if name in _first_row(report)["metrics"]]


def _skill_names(report: Mapping[str, Any]) -> list[str]:
    return [name for name in skill.NAMES if name in _first_row(report)["skill"]]


def _first_row(report: Mapping[str, Any]) -> dict[str, Any]:
    return next(iter(report["table"].values()))


def arrow(name: str) -> str:
    """Title of a metric, with the direction that is better."""
    return f"{TITLES[name]} {'↑' if name in HIGHER_IS_BETTER else '↓'}"


def _best(report: Mapping[str, Any], name: str) -> str | None:
    """The best mean of a model, as printed; None if nothing is to be compared."""
    means = [row["metrics"][name]["mean"] for row in report["table"].values() if row["kind"] == "model"]
    means = [mean for mean in means if mean is not None]
    if len(means) < 2:
        return None
    return number((max if name in HIGHER_IS_BETTER else min)(means), name)


def number(value: float | None, name: str) -> str:
    """A metric with its usual number of decimals."""
    return formatted(_FORMS.get(name, "{:.3f}"), value)


def formatted(form: str, value: float | None) -> str:
    """A number, or a dash for one that does not exist."""
    return "–" if value is None else form.format(value)


def with_interval(values: dict[str, Any], name: str, form: str) -> str:
    """Entry `name` with its interval, `0.50 [0.40, 0.60]`."""
    value, low, high = (formatted(form, values[key]) for key in (name, "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]"


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def join_parts(parts: Sequence[str]) -> str:
    """Paragraphs of a text; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"
