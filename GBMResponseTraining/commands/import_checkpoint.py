"""`gbmresponse-train import-checkpoint`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
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
    imported.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..bundles.checkpoint_import import ClassStatement, ImportRequest, import_checkpoint

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
