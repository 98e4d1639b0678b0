"""Fit the network by which a bundle finds enhancing tissue, on scans whose enhancing tissue is known.

Of simulated patients it is known exactly; of real ones experts have outlined it. Every group of scans counts alike, and
every scan of a group.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.errors import OptionError
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.reading import read_image
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.enhancement import EnhancementRule, EnhancementSegmenter
from GBMResponseCore.measure.enhancement_head import EnhancementHead
from GBMResponseCore.measure.probability import ProbabilityRule
from GBMResponseCore.model.bundle import Bundle, open_bundle
from torch import nn

from ..datasets.errors import TableValueError
from ..datasets.tables import read_csv
from ..settings.model_configurations import ModelConfiguration
from ..stages.training_run import TrainingRun
from .stage import describe_bundle, exported_bundle, training_data

log = logging.getLogger(__name__)

COLUMNS = ("id", "image", "gtv", "mask")
CUTS = tuple(np.linspace(0.25, 0.6, 8).round(2).tolist())
"""Probabilities from which a voxel may enhance; the one with the highest mean Dice is taken."""
_UNITS, _STEPS, _VOXELS, _BATCH = 32, 1500, 6000, 4096
_LEAST_SPREAD = 0.02
"""Features that hardly differ between the scans say nothing."""
_DIGITS = 5
_NO_SOURCE = "a table without sources"


@dataclass(frozen=True, eq=False)
class Scan:
    """The generated slices of a scan.

    :param rows: features of the voxels that planning looks at (k, 8).
    :param near: those of them that are measured, bool (k,).
    :param truth: those that enhance, bool (k,).
    :param true_voxels: that enhance in all generated slices.
    :param source: where the scan comes from, in words.
    """

    name: str
    rows: np.ndarray
    near: np.ndarray
    truth: np.ndarray
    true_voxels: int
    source: str = _NO_SOURCE

    def dice(self, found: np.ndarray) -> float:
        """Dice coefficient of what is found, bool (k,), where it is measured, with all that enhances."""
        found = found & self.near
        return float(2 * (found & self.truth).sum() / (found.sum() + self.true_voxels))


@dataclass(frozen=True)
class FittedHead:
    """The head, and the mean Dice coefficient of each group's scans that it learned from."""

    head: EnhancementHead
    dice: dict[str, float]


def read_scans(table: Path, bundle: Bundle) -> list[Scan]:
    """Scans of a table `id`, `image`, `gtv`, `mask`, `label` where the mask has several, and `source` if stated.

    Those without any enhancing tissue in their slices are left out, and said to be.

    :param table: relative paths in it start at its folder.
    :raises DatasetError, TableValueError: it is no such table, or a label is no number.
    :raises GBMResponseError: by a file.
    """
    scans = [_read_scan(line, row, table.parent, bundle) for line, row in read_csv(table, COLUMNS)]
    empty = [scan.name for scan in scans if not scan.truth.any()]
    if empty:
        log.info("%s: nothing enhances in the slices of %s: left out.", table.name, ", ".join(empty))
    return [scan for scan in scans if scan.truth.any()]


def fit_head(groups: Mapping[str, Sequence[Scan]], seed: int = 1) -> FittedHead:
    """Fit a head on as many voxels of each scan, near and far from the GTV.

    :raises OptionError: there is no scan.
    """
    if not groups or not all(groups.values()):
        raise OptionError("There is no scan with enhancing tissue in its slices.")
    draws, torch_draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    rows, truth, weights = (np.concatenate(part) for part in zip(*_drawn(groups, draws), strict=True))
    mean, deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), _LEAST_SPREAD)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(rows.shape[1], _UNITS), nn.ReLU(), nn.Linear(_UNITS, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    x, y, w = (torch.from_numpy(part.astype(np.float32)) for part in ((rows - mean) / deviation, truth, weights))
    for _ in range(_STEPS):
        pick = torch.randint(len(x), (_BATCH,), generator=torch_draws)
        logits = network(x[pick])[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y[pick], w[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    head = _folded(network, mean, deviation)
    logits = {name: [head.logits(scan.rows) for scan in scans] for name, scans in groups.items()}

    def dice(cut: float) -> dict[str, float]:
        level = np.log(cut / (1 - cut))
        pairs = ((name, zip(scans, logits[name], strict=True)) for name, scans in groups.items())
        return {name: float(np.mean([scan.dice(values > level) for scan, values in part])) for name, part in pairs}

    best = max(CUTS, key=lambda cut: sum(dice(cut).values()))
    bias = round(head.output_bias - float(np.log(best / (1 - best))), _DIGITS)
    return FittedHead(EnhancementHead(head.hidden, head.hidden_bias, head.output, bias), dice(best))


def fit_segmenter(
    run: TrainingRun, configuration: ModelConfiguration, tables: Sequence[Path], seed: int = 1
) -> FittedHead:
    """Fit a head on tables of scans and write it into `bundle.json` of the bundle of a run.

    The probability of enhancement was fitted with another segmenter, so it goes: `calibrate` fits it anew.

    :raises OptionError: there is no bundle, or no scan.
    :raises GBMResponseError: by a table, or one of its files.
    :raises OutputFolderError: the bundle cannot be written.
    """
    bundle = open_bundle(exported_bundle(run, configuration))
    groups = {f"{table.parent.name}/{table.name}": read_scans(table, bundle) for table in tables}
    fitted = fit_head(groups, seed)
    fields = {
        "enhancement_head": asdict(fitted.head),
        "enhancement_probability": asdict(ProbabilityRule()),
        "training_data": f"{training_data(run)} {learned_from(groups)}",
    }
    describe_bundle(run, configuration, [], fields)
    return fitted


def learned_from(groups: Mapping[str, Sequence[Scan]]) -> str:
    """What a head learned from, in a sentence."""
    counts = Counter(scan.source for scans in groups.values() for scan in scans)
    scans = ", ".join(f"{count} scans of {source}" for source, count in counts.items())
    return f"The network that finds enhancing tissue learned {scans}."


def _read_scan(line: int, row: Mapping[str, str], folder: Path, bundle: Bundle) -> Scan:
    label = row.get("label", "")
    if label and not label.isdecimal():
        raise TableValueError(f"Line {line}: the label {label!r} is no number.")
    case = load_case(folder / row["image"], folder / row["gtv"])
    slices = read_slices(case, bundle.in_plane_rule, bundle.normalization)
    mask = read_image(folder / row["mask"], "mask")
    truth = slices.grid.to_stack(mask == int(label) if label else mask > 0, label=True)
    truth &= slices.generated[:, None, None]
    image, spacing, rule = slices.scale.normalize(slices.stack), slices.grid.spacing[::-1], EnhancementRule()
    segmenter = EnhancementSegmenter(image, slices.gtv, slices.generated, spacing, rule)
    where = segmenter.reach
    rows = rule.features(image, segmenter.voxels(where), segmenter.tissue(image))
    source = row.get("source") or _NO_SOURCE
    return Scan(row["id"], rows, segmenter.region[where], truth[where], int(truth.sum()), source)


def _drawn(
    groups: Mapping[str, Sequence[Scan]], draws: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Features, truth and weight of voxels of all scans, two of three of them where it is measured."""
    drawn = []
    for scans in groups.values():
        for scan in scans:
            near, far = np.flatnonzero(scan.near), np.flatnonzero(~scan.near)
            parts = ((near, 2 * _VOXELS // 3), (far, _VOXELS // 3))
            pick = np.concatenate([draws.choice(part, count) for part, count in parts if len(part)])
            drawn.append((scan.rows[pick], scan.truth[pick], np.full(len(pick), 1.0 / len(scans))))
    mean = np.mean([weights.mean() for *_, weights in drawn])
    return [(rows, truth, weights / mean) for rows, truth, weights in drawn]


def _folded(network: nn.Sequential, mean: np.ndarray, deviation: np.ndarray) -> EnhancementHead:
    """The head of a network of standardized features."""
    hidden, bias, output, output_bias = (part.detach().double().numpy() for part in network.parameters())
    hidden = hidden / deviation
    bias = bias - hidden @ mean

    def numbers(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(f"{value:.{_DIGITS}g}") for value in values)

    return EnhancementHead(tuple(map(numbers, hidden)), numbers(bias), numbers(output[0]), float(output_bias[0]))
