"""Command `gbmresponse`: predict one case without 3D Slicer.

Exit codes: 0 done, 2 wrong usage, 130 cancelled; every other failure has its own code, listed in the README.
"""

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import SYNTHETIC_NOTICE, __version__
from .errors import CancelledError, GBMResponseError, OptionError

log = logging.getLogger(__name__)


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
    inputs.add_argument("--format", choices=(".nii.gz", ".nrrd", ".mha"), default=".nii.gz", help="of the volumes")
    inputs.add_argument("--no-montage", action="store_true", help="write no PNG montage")
    model = predict.add_argument_group("model")
    model.add_argument("--bundle", type=Path, help="model bundle folder; default: the bundle that ships")
    model.add_argument("--scheme", help="survival class scheme of the bundle, or 'none'; default: its first")
    model.add_argument("--class", dest="survival_class", default="predicted", help="class name, or 'predicted'")
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
    from .case import load_case
    from .files import ensure_output_folder

    started = time.perf_counter()
    case = load_case(arguments.image, arguments.gtv, arguments.follow_up)
    ensure_output_folder(arguments.out)

    # torch and diffusers take seconds to import: wrong inputs are reported before.
    from .bundle import default_bundle, open_bundle
    from .outputs import UNFINISHED, write_prediction
    from .prediction import PredictionOptions, Predictor
    from .provenance import provenance

    bundle = open_bundle(arguments.bundle or default_bundle())
    options = PredictionOptions(
        scheme=arguments.scheme,
        survival_class=arguments.survival_class,
        samples=arguments.samples,
        seed=arguments.seed,
        sampling=_sampling(arguments, bundle.default_sampling),
        batch_size=arguments.batch_size,
    )
    for note in case.notes:
        print(f"Note ({note.code}): {note.sentence}")
    predictor = Predictor(bundle, arguments.device, arguments.precision)
    loaded = time.perf_counter()
    with _ProgressBar() as progress:
        prediction = predictor.predict(case, options, progress=progress, unfinished=arguments.out / UNFINISHED)
    predicted = time.perf_counter()
    written = write_prediction(
        prediction, provenance(case, bundle, options, prediction), arguments.out, arguments.format
    )
    shutil.rmtree(arguments.out / UNFINISHED, ignore_errors=True)
    if not arguments.no_montage:
        written += _montage(case, prediction, arguments.out / "montage.png")

    choice = prediction.class_choice
    chances = ", ".join(f"{name} {chance:.0%}" for name, chance in choice.probabilities.items())
    print(f"Model: {bundle.name} {bundle.version}. Survival class: {choice.name} ({choice.source}; {chances or '-'}).")
    print(
        f"{len(prediction.slices)} slices, {options.samples} sample(s), {prediction.device}, {prediction.precision}: "
        f"load {loaded - started:.1f} s, predict {predicted - loaded:.1f} s, "
        f"write {time.perf_counter() - predicted:.1f} s."
    )
    for path in written:
        print(f"  {path}")
    print(SYNTHETIC_NOTICE)


def _sampling(arguments: argparse.Namespace, default: Any) -> Any:
    from dataclasses import replace

    given = {
        "sampler": arguments.sampler,
        "steps": arguments.steps,
        "guidance_scale": arguments.guidance,
        "guidance_form": arguments.guidance_form,
        "eta": arguments.eta,
    }
    return replace(default, **{name: value for name, value in given.items() if value is not None})


def _montage(case: Any, prediction: Any, path: Path) -> list[Path]:
    try:
        from .montage import write_montage

        return [write_montage(case, prediction, path)]
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise OptionError(
            "The montage needs matplotlib.",
            "Install gbmresponse[report], or use --no-montage. The volumes are written.",
        ) from error


class _ProgressBar:
    """One bar with time left over the sampling, which takes nearly all the time."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=100.0, unit="%", bar_format="{desc:<9}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}")

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def __call__(self, stage: str, fraction: float) -> None:
        self._bar.set_description_str(stage.capitalize())
        if stage == "sample":
            self._bar.update(100.0 * fraction - self._bar.n)


if __name__ == "__main__":
    sys.exit(main())
