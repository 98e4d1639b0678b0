"""Options that several commands share, and the fields of a request that they set."""

import argparse
from pathlib import Path
from typing import Any

from .request import FORMATS


def add_output_options(group: argparse._ArgumentGroup) -> None:
    """Which files to write."""
    group.add_argument("--format", choices=FORMATS, default=".nii.gz", help="of the volumes")
    group.add_argument("--no-montage", action="store_true", help="write no PNG montage")
    group.add_argument("--no-measurements", action="store_true", help="measure nothing")
    group.add_argument("--no-report", action="store_true", help="write no HTML report")


def add_model_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which model, and how to sample from it; returns the group of the model."""
    model = parser.add_argument_group("model")
    model.add_argument("--bundle", type=Path, help="model bundle folder; default: the bundle that ships")
    model.add_argument("--scheme", help="survival class scheme of the bundle, or 'none'; default: its first")
    sampling = parser.add_argument_group("sampling (default: as the bundle says)")
    sampling.add_argument("--samples", type=int, default=1, help="samples; more than 1 adds mean, spread and chances")
    sampling.add_argument("--seed", type=int, default=1, help="same seed, same result; also across classes")
    sampling.add_argument("--sampler", help="unipc, dpmpp, ddim or ddpm")
    sampling.add_argument("--steps", type=int, help="network evaluations per sample")
    sampling.add_argument("--guidance", type=float, help="guidance scale: 0 unconditional, 1 conditional")
    sampling.add_argument("--guidance-form", help="standard, or algorithm2 for the sign printed in the paper")
    sampling.add_argument("--eta", type=float, help="stochasticity of ddim: 0 to 1")
    return model


def add_machine_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """How to compute; the command adds its own option for the device."""
    machine = parser.add_argument_group("machine")
    machine.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    machine.add_argument("--batch-size", type=int, help="slices at once; default: as memory allows")
    return machine


def shared_fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fields of a `PredictionRequest` from the options above."""
    sampling = {
        "sampler": arguments.sampler,
        "steps": arguments.steps,
        "guidance_scale": arguments.guidance,
        "guidance_form": arguments.guidance_form,
        "eta": arguments.eta,
    }
    return {
        "bundle": arguments.bundle,
        "scheme": arguments.scheme,
        "samples": arguments.samples,
        "seed": arguments.seed,
        "sampling": {name: value for name, value in sampling.items() if value is not None},
        "precision": arguments.precision,
        "batch_size": arguments.batch_size,
        "format": arguments.format,
        "measure": not arguments.no_measurements,
        "montage": not arguments.no_montage,
        "report": not arguments.no_report,
    }
