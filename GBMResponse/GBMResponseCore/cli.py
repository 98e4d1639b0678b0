"""Command `gbmresponse`: predict one case without 3D Slicer.

Exit codes: 0 done, 2 wrong usage, 130 cancelled; every other failure has its own code, listed in the README.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import SYNTHETIC_NOTICE, __version__
from .errors import CancelledError, GBMResponseError
from .progress import RunListener, RunProgress
from .request import FORMATS, PREDICTED_CLASS, PredictionRequest
from .runner import Runner

_PREDICTING = ("prepare", "encode", "classify", "sample", "assemble")
"""Stages that count as predicting, in the times that are printed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(message)s")
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        return _report(CancelledError("Cancelled; finished slices are kept and the same command continues."))
    except GBMResponseError as error:
        return _report(error)
    return 0


def _report(error: GBMResponseError) -> int:
    print(f"Error ({error.code}): {error.message}\n{error.remedy}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gbmresponse", description=SYNTHETIC_NOTICE)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    predict = commands.add_parser(
        "predict", help="predict the follow-up MRI of one case", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    inputs = predict.add_argument_group("inputs and output")
    inputs.add_argument("--image", type=Path, required=True, help="pre-treatment T1-Gd (NIfTI, NRRD, MetaImage)")
    inputs.add_argument("--gtv", type=Path, required=True, help="GTV mask, on any grid of the same patient")
    inputs.add_argument("--follow-up", type=Path, help="true follow-up T1-Gd, shown beside the prediction")
    inputs.add_argument("--out", type=Path, required=True, help="output folder")
    inputs.add_argument("--format", choices=FORMATS, default=".nii.gz", help="of the volumes")
    inputs.add_argument("--no-montage", action="store_true", help="write no PNG montage")
    inputs.add_argument("--no-measurements", action="store_true", help="measure nothing")
    inputs.add_argument("--no-report", action="store_true", help="write no HTML report")
    model = predict.add_argument_group("model")
    model.add_argument("--bundle", type=Path, help="model bundle folder; default: the bundle that ships")
    model.add_argument("--scheme", help="survival class scheme of the bundle, or 'none'; default: its first")
    model.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        default=[PREDICTED_CLASS],
        help="class name, or 'predicted'; several names are compared under the same noise, each in its own folder",
    )
    sampling = predict.add_argument_group("sampling (default: as the bundle says)")
    sampling.add_argument("--samples", type=int, default=1, help="samples; more than 1 adds mean and spread")
    sampling.add_argument("--seed", type=int, default=1, help="same seed, same result; also across classes")
    sampling.add_argument("--sampler", help="unipc, dpmpp, ddim or ddpm")
    sampling.add_argument("--steps", type=int, help="network evaluations per sample")
    sampling.add_argument("--guidance", type=float, help="guidance scale: 0 unconditional, 1 conditional")
    sampling.add_argument("--guidance-form", help="standard, or algorithm2 for the sign printed in the paper")
    sampling.add_argument("--eta", type=float, help="stochasticity of ddim: 0 to 1")
    machine = predict.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    machine.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    machine.add_argument("--batch-size", type=int, help="slices at once; default: as memory allows")
    predict.add_argument("--verbose", action="store_true", help="say more")
    predict.set_defaults(run=_predict)
    return parser


def _predict(arguments: argparse.Namespace) -> None:
    request = PredictionRequest(
        image=arguments.image,
        gtv=arguments.gtv,
        follow_up=arguments.follow_up,
        out=arguments.out,
        bundle=arguments.bundle,
        device=arguments.device,
        precision=arguments.precision,
        scheme=arguments.scheme,
        classes=tuple(arguments.classes),
        samples=arguments.samples,
        seed=arguments.seed,
        sampling=_sampling(arguments),
        batch_size=arguments.batch_size,
        format=arguments.format,
        measure=not arguments.no_measurements,
        montage=not arguments.no_montage,
        report=not arguments.no_report,
    )
    with _Terminal() as terminal:
        result = Runner().run(request, terminal)

    for entry in result.classes:
        choice = entry.prediction.class_choice
        chances = ", ".join(f"{name} {chance:.0%}" for name, chance in choice.probabilities.items())
        print(
            f"Model: {result.bundle.name} {result.bundle.version}. "
            f"Survival class: {choice.name} ({choice.source}; {chances or '-'})."
        )
    prediction, seconds = result.classes[0].prediction, result.seconds
    print(
        f"{len(prediction.slices)} slices, {request.samples} sample(s), {prediction.device}, {prediction.precision}: "
        f"load {seconds['load']:.1f} s, predict {sum(seconds[name] for name in _PREDICTING):.1f} s, "
        f"write {seconds['write']:.1f} s."
    )
    files = [path for entry in result.classes for path in entry.files.values()] + list(result.files.values())
    for path in dict.fromkeys(files):
        print(f"  {path}")
    print(SYNTHETIC_NOTICE)


def _sampling(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        "sampler": arguments.sampler,
        "steps": arguments.steps,
        "guidance_scale": arguments.guidance,
        "guidance_form": arguments.guidance_form,
        "eta": arguments.eta,
    }
    return {name: value for name, value in given.items() if value is not None}


class _Terminal(RunListener):
    """One bar with time left over the sampling, which takes nearly all the time."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "_Terminal":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def warning(self, code: str, sentence: str) -> None:
        print(f"Note ({code}): {sentence}")

    def stage(self, name: str, survival_class: str | None) -> None:
        if name == "prepare" and self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=100.0, unit="%", bar_format="{desc:<9}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            )
        if self._bar is not None:
            self._bar.set_description_str(name.capitalize())
            if name == "write":
                self._bar.update(100.0 - self._bar.n)

    def progress(self, progress: RunProgress) -> None:
        self._bar.update(100.0 * progress.fraction - self._bar.n)


if __name__ == "__main__":
    sys.exit(main())
