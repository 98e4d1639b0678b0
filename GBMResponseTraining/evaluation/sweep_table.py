"""The table of a guidance sweep, written from the report of an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.files import write_csv, write_text

from .tables import arrow, data_sentence, formatted, join_parts, markdown_table, note_list, number, with_interval


def write_guidance_sweep(report: Mapping[str, Any], out: Path) -> None:
    """Write `guidance_sweep.csv` and `guidance_sweep.md`.

    :raises OutputFolderError: if a file cannot be written.
    """
    rows = report["guidance_sweep"]["rows"]
    write_csv(list(rows[0]), [list(row.values()) for row in rows], out / "guidance_sweep.csv")
    parts = ["# Guidance sweep", f"**{SYNTHETIC_NOTICE}**", data_sentence(report), sweep_text(report)]
    write_text(join_parts([*parts, sweep_table(report), note_list(report)]), out / "guidance_sweep.md")


def sweep_text(report: Mapping[str, Any]) -> str:
    """What the guidance sweep compares."""
    sweep = report["guidance_sweep"]
    first, last = (sweep["truth"][f"class_{which}"] for which in ("first", "last"))
    patients = " and ".join(str(sweep["truth"][f"patients_{which}"]) for which in ("first", "last"))
    changes = [sweep["truth"][f"enhancing_change_{which}"] for which in ("first", "last")]
    by_authors = ", as the authors' code defines them" if report["metrics"] == "authors" else ""
    true = ""
    if all(change["value"] is not None for change in changes):
        told = " and ".join(with_interval(change, "value", "{:+.1f}") for change in changes)
        true = f" Truly it changes from pre to post by {told} pixels for {first} and {last} (mean over patients)."
    for whose, truth in (("these", sweep["truth"]), ("the training", sweep.get("truth_of_training"))):
        difference = None if truth is None else truth["enhancing_change_difference"]
        if difference is not None and difference["value"] is not None:
            told = with_interval(difference, "value", "{:+.1f}")
            true += f" The class effect of {whose} patients is {told} pixels, the difference of these changes."
    return (
        f"Guidance of {sweep['model']}, one sample per slice. Difference: mean absolute difference of the same slices "
        f"predicted as {first} and as {last} under identical noise, inside and outside the GTV. Enhancing: pixels per "
        f"slice that the engine's segmenter finds. `all as {first}`, `all as {last}`: of all patients under either "
        f"class and identical noise; `effect` is what they differ by. `{first}`, `{last}`: of the patients who truly "
        f"are so ({patients}), each group predicted as what it is; the true follow-ups and the copy of the pre image "
        "have the values to compare with."
        f"{true} Metrics{by_authors}: means over patients under the class that the row of the model has."
    )


def sweep_table(report: Mapping[str, Any]) -> str:
    """Class separation and errors by guidance scale, below the truth and the copy of the pre image."""
    sweep = report["guidance_sweep"]
    truth = sweep["truth"]
    first, last = truth["class_first"], truth["class_last"]
    metrics = [name for name in ("psnr", "ssim", "ssim_local", "mse_local") if name in sweep["copy"]]
    titles = [
        "guidance", "difference in GTV", "elsewhere", f"enhancing, all as {first}", f"all as {last}", "effect",
        f"enhancing, {first}", f"enhancing, {last}",
        f"{first} - {last}", *map(arrow, metrics), "skill MSE", "skill MSE local",
    ]  # fmt: skip

    def enhancing(values: dict[str, Any], which: str) -> list[str]:
        pair = [values[f"enhancing_pixels_{which}_{end}"] for end in ("first", "last")]
        gap = None if None in pair else pair[0] - pair[1]
        return [*(formatted("{:.1f}", value) for value in pair), formatted("{:+.1f}", gap)]

    nothing = ["–"]
    rows = [
        ["true follow-up", *nothing * 5, *enhancing(truth, "post"), *nothing * (len(metrics) + 2)],
        [
            "copy of the pre image", *nothing * 5, *enhancing(truth, "pre"),
            *(number(sweep["copy"][name], name) for name in metrics), "0.000", "0.000",
        ],
    ]  # fmt: skip
    for row in sweep["rows"]:
        cells = [f"{row['guidance_scale']:g}"]
        cells += [formatted("{:.4f}", row[f"mean_absolute_difference_{where}"]) for where in ("gtv", "elsewhere")]
        pixels = [row[f"enhancing_pixels_{name}"] for name in ("short", "long")]
        cells += [*(formatted("{:.1f}", value) for value in pixels), f"{pixels[0] - pixels[1]:+.1f}"]
        cells += enhancing(row, "own") + [number(row[name], name) for name in metrics]
        rows.append([*cells, *(formatted("{:.3f}", row[f"skill_{name}"]) for name in ("mse", "mse_local"))])
    return markdown_table(titles, rows)
