"""What an image autoencoder alone does to slices that it has not seen, beside a code that needs no training."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import write_json, write_text
from GBMResponseCore.model.block_autoencoder import BlockAutoencoder
from GBMResponseCore.model.networks import LatentAutoencoder

from ..models.lpips import LPIPS, load_lpips_if_present
from ..store.slice_store import SINGLE_IMAGES, SliceStore, open_store
from ..store.splits import SPLIT_FILE
from .held_out import stored_split
from .metrics.appearance import sharpness
from .metrics.image import standard_metrics, summarize
from .tables import formatted, markdown_table

COSINES = "cosines"
"""Name of the code that needs no training: the lowest coefficients of 4 x 4 blocks, as many as the first model's."""
_COLUMNS = {"psnr": "{:.2f}", "psnr_local": "{:.2f}", "ssim": "{:.4f}", "lpips": "{:.4f}", "sharpness_ratio": "{:.3f}"}
_SLICES = 4


@dataclass(frozen=True)
class Images:
    """Slices (n, H, W) to be encoded and decoded, the tumor in them, and whose they are (n,)."""

    name: str
    slices: np.ndarray
    gtv: np.ndarray
    patient: np.ndarray


def read_images(name: str, folder: Path) -> list[Images]:
    """The test slices of a store, or all of one without a split: pre and post apart, images without follow-up once.

    :raises MissingFileError: the folder is no slice store.
    :raises OptionError: its split has no test patient.
    """
    store: SliceStore = open_store(folder)
    rows = np.arange(len(store))
    if (folder / SPLIT_FILE).is_file():
        split = stored_split(folder)
        tested = np.array([split[record["id"]] == "test" for record in store.patients])
        rows = np.flatnonzero(tested[np.asarray(store.patient)])
    if not len(rows):
        raise OptionError(f"The slice store {folder.name} has no test patient.", "Name another store.")
    single = all(record.get(SINGLE_IMAGES) for record in store.patients)
    gtv, patient = np.asarray(store.gtv[rows], bool), np.asarray(store.patient[rows])
    return [
        Images(name if single else f"{name}, {time}", np.asarray(getattr(store, time)[rows], np.float32), gtv, patient)
        for time in (("pre",) if single else ("pre", "post"))
    ]


def cosines(channels: int) -> LatentAutoencoder:
    """The code of 4 x 4 blocks that needs no training."""
    model = BlockAutoencoder((8, 8), 1, 1, latent_channels=channels)
    return LatentAutoencoder(model, [0.0] * channels, [1.0] * channels).eval()


@torch.inference_mode()
def measure_reconstruction(autoencoder: LatentAutoencoder, images: Images, lpips: LPIPS | None) -> dict[str, Any]:
    """Metrics of Table 1 between slices and their reconstructions, sharpness in the tumor, and seconds per slice.

    :return: by metric as :func:`.metrics.image.summarize`; and `encode_s`, `decode_s`, single slices on this machine.
    """
    parts, seconds = [], []
    for start in range(0, len(images.slices), _SLICES):
        chunk = torch.from_numpy(images.slices[start : start + _SLICES])[:, None]
        clock = [time.perf_counter()]
        latents = autoencoder.encode(chunk)
        clock.append(time.perf_counter())
        parts.append(autoencoder.decode(latents)[:, 0].float().numpy())
        clock.append(time.perf_counter())
        seconds.append(np.diff(clock) / len(chunk))
    decoded = np.concatenate(parts)
    rows = standard_metrics(decoded, images.slices, images.gtv, lpips)
    for row, made, true, inside in zip(rows, decoded, images.slices, images.gtv, strict=True):
        sharp = [sharpness(np.clip(image, -1, 1), inside) for image in (made, true)]
        row["sharpness_ratio"] = sharp[0] / sharp[1] if sharp[1] > 0 else float("nan")
    encode_s, decode_s = np.median(seconds, axis=0)
    return {**summarize(rows, images.patient), "encode_s": float(encode_s), "decode_s": float(decode_s)}


def write_reconstructions(
    models: dict[str, LatentAutoencoder], tested: list[Images], out: Path
) -> dict[str, dict[str, Any]]:
    """Measure every model on all images; write `reconstruction.json` and `reconstruction.md`.

    :raises OutputFolderError: if they cannot be written.
    """
    lpips = load_lpips_if_present()
    channels = next(iter(models.values())).shift.numel()
    networks = {f"{COSINES} ({channels}, untrained)": cosines(channels), **models}
    report: dict[str, dict[str, Any]] = {}
    for images in tested:
        report[images.name] = {
            name: measure_reconstruction(network, images, lpips) for name, network in networks.items()
        }
    columns = {name: form for name, form in _COLUMNS.items() if name != "lpips" or lpips is not None}
    parts = []
    for images in tested:
        rows = [
            [name, *(formatted(form, found[column]["mean"]) for column, form in columns.items())]
            for name, found in report[images.name].items()
        ]
        head = f"**{images.name}**: {len(images.slices)} slices of {len(np.unique(images.patient))} patients or blocks"
        parts.append(f"{head}\n\n{markdown_table(['model', *columns], rows)}")
    write_json(json.loads(json.dumps(report)), out / "reconstruction.json")
    write_text("\n\n".join(parts) + "\n", out / "reconstruction.md")
    return report
