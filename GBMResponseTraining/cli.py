"""Command `gbmresponse-train`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.errors import GBMResponseError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one training command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        return arguments.run(arguments)
    except GBMResponseError as error:
        print(f"Error ({error.code}): {error.message}\n{error.remedy}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gbmresponse-train", description=SYNTHETIC_NOTICE)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo-bundle", help="train the small bundle that ships with the extension")
    demo.add_argument("--out", type=Path, required=True, help="run folder; start again to continue")
    demo.add_argument("--anatomies", type=Path, required=True, help="folder of prepared anatomies (*.npz)")
    demo.add_argument("--real", type=Path, help="folder of real cases <case>/{pre,post}_t1gd.nii.gz")
    demo.add_argument("--recipe", choices=("demo", "smoke"), default="demo")
    demo.add_argument("--processes", type=int, help="processes of the simulation (default: one per core)")
    demo.set_defaults(run=_demo_bundle)

    imported = commands.add_parser(
        "import-checkpoint", help="turn Lightning checkpoints of the authors' code into a bundle"
    )
    imported.add_argument("--ldm", type=Path, required=True, help="checkpoint of the latent diffusion model (*.ckpt)")
    imported.add_argument("--config", type=Path, required=True, help="*-project.yaml of the same run")
    imported.add_argument("--image-autoencoder", type=Path, help="MRI VQ-VAE checkpoint (default: the copy in --ldm)")
    imported.add_argument("--gtv-autoencoder", type=Path, help="GTV VQ-VAE checkpoint (default: the copy in --ldm)")
    imported.add_argument("--out", type=Path, required=True, help="new folder for the bundle")
    imported.add_argument("--name", help="name of the bundle (default: the folder's)")
    imported.add_argument("--class-names", nargs="+", help="names of the manifest's classes 0, 1, ...")
    imported.add_argument("--thresholds", nargs="+", type=float, help="ascending days that separate the classes")
    imported.add_argument("--longest-first", action="store_true", help="class 0 is the longest survival")
    imported.add_argument("--half", action="store_true", help="store fp16 weights: half the size, slightly different")
    imported.set_defaults(run=_import_checkpoint)
    return parser


def _demo_bundle(arguments: argparse.Namespace) -> int:
    from .demo_bundle import DemoBundleRun
    from .recipes import RECIPES

    run = DemoBundleRun(
        RECIPES[arguments.recipe], arguments.out, arguments.anatomies, arguments.real, arguments.processes
    )
    bundle = run.run()
    print(f"Bundle: {bundle}")
    return 0


def _import_checkpoint(arguments: argparse.Namespace) -> int:
    from .checkpoint_import import ClassStatement, ImportRequest, import_checkpoint

    request = ImportRequest(
        ldm=arguments.ldm,
        config=arguments.config,
        out=arguments.out,
        image_autoencoder=arguments.image_autoencoder,
        gtv_autoencoder=arguments.gtv_autoencoder,
        name=arguments.name,
        classes=ClassStatement(arguments.class_names, arguments.thresholds, arguments.longest_first),
        half=arguments.half,
    )
    print(f"Bundle: {import_checkpoint(request)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
