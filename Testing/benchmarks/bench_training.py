"""Time of a training step of the diffusion model, with cached latents and with slices encoded anew in every step.

Random slices and random weights: only the time is of interest. Waiting for data is what the loader takes between two
steps.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.model.networks import LatentAutoencoder, build_autoencoder
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from GBMResponseTraining.engine.stream import ItemStream
from GBMResponseTraining.items.latent_items import Conditions, latent_items
from GBMResponseTraining.items.latents import encode_store
from GBMResponseTraining.models.diffusion import DiffusionModule
from GBMResponseTraining.models.unet_config import noise_schedule, unet_config
from GBMResponseTraining.settings.reader import load_configuration
from GBMResponseTraining.store.slice_store import open_store, write_store

TOKENS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, help="default: the preset's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args()
    settings = load_configuration(arguments.preset)
    batch_size = arguments.batch_size or settings.diffusion.training.batch_size

    with tempfile.TemporaryDirectory() as name:
        store = _store(Path(name) / "store", arguments.slices)
        autoencoders = {part: _autoencoder(getattr(settings, f"{part}_autoencoder")) for part in ("image", "gtv")}
        downsampling = settings.image_autoencoder.downsampling
        started = time.perf_counter()
        latents = encode_store(
            store, Path(name) / "latents", autoencoders, downsampling, False, device=arguments.device
        )
        encoding = time.perf_counter() - started
        conditions = Conditions(
            tokens=np.zeros((len(store), 1), np.int64),
            null_token=TOKENS - 1,
            days=np.full(len(store), np.nan),
            neighbors=np.tile(np.arange(len(store)), (2 * settings.diffusion.neighbor_slices, 1)),
        )
        make = latent_items(latents, conditions, np.arange(len(store)), label_dropout=0.1, seed=0)
        stream = ItemStream(make, (arguments.steps + 1) * batch_size, seed=0)
        loader = DataLoader(stream, batch_size=batch_size, num_workers=arguments.workers)
        module = _module(settings, store.pre.shape[-1] // downsampling).to(arguments.device)
        optimizer = torch.optim.AdamW(module.denoiser.parameters())

        def encode_anew(batch: dict) -> None:
            rows = np.arange(batch_size) % len(store)
            for part, array in (("image", store.pre), ("image", store.post), ("gtv", store.gtv)):
                images = torch.from_numpy(array[rows].astype(np.float32))[:, None].to(arguments.device)
                autoencoders[part].to(arguments.device).encode(images)

        with FlopCounterMode(display=False) as counter:
            _step(module, optimizer, next(iter(loader)), arguments.device)
        flops = counter.get_total_flops()
        print(f"{arguments.preset}, batch {batch_size}, {arguments.device}, {torch.get_num_threads()} threads")
        print(f"encoding once: {1000 * encoding / (3 * len(store)):.0f} ms per image")
        print(f"training step: {flops / 1e9:.0f} GFLOP")
        print(f"{'latents':<16}{'s per step':>12}{'waiting for data':>20}")
        for label, extra in (("cached", None), ("encoded anew", encode_anew)):
            step, waiting = _measure(module, optimizer, loader, arguments.device, extra)
            print(f"{label:<16}{step:>12.3f}{waiting / step:>19.1%}")


def _measure(module, optimizer, loader, device, extra) -> tuple[float, float]:
    """Seconds per step, and of these the seconds spent waiting for the loader; the first step warms up."""
    seconds, waits = [], []
    last = time.perf_counter()
    for batch in loader:
        got = time.perf_counter()
        if extra is not None:
            extra(batch)
        _step(module, optimizer, batch, device)
        now = time.perf_counter()
        seconds.append(now - last)
        waits.append(got - last)
        last = now
    return float(np.mean(seconds[1:])), float(np.mean(waits[1:]))


def _step(module, optimizer, batch, device) -> None:
    loss = module.loss(module.denoiser, {name: value.to(device) for name, value in batch.items()})
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()


def _store(folder: Path, slices: int):
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, slices, 256, 256)).astype(np.float32)
    gtv = np.zeros((slices, 256, 256), np.uint8)
    gtv[:, 100:140, 100:140] = 1
    record = {"id": "random", "survival_days": 400.0, "slice_positions_mm": list(range(slices))}
    write_store(folder, *images, gtv, np.zeros(slices, np.int32), [record])
    return open_store(folder)


def _autoencoder(settings) -> LatentAutoencoder:
    autoencoder = LatentAutoencoder(build_autoencoder(settings.network()), [0.0] * 4, [1.0] * 4)
    torch.nn.init.normal_(autoencoder.codebooks)
    return autoencoder.requires_grad_(False).eval()


def _module(settings, latent_size: int) -> DiffusionModule:
    unet = unet_config(settings.diffusion, TOKENS, settings.image_autoencoder.latent_channels, latent_size)
    return DiffusionModule(settings.diffusion, unet, noise_schedule(settings.diffusion.prediction), 1000)


if __name__ == "__main__":
    main()
