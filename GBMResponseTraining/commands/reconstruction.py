"""`gbmresponse-train reconstruction OUT --model NAME=FOLDER ... --store NAME=STORE ...`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "reconstruction", help="measure image autoencoders alone, finished or still training, on held-out slices"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for reconstruction.md and .json")
    parser.add_argument(
        "--model",
        type=_named,
        nargs="+",
        required=True,
        metavar="NAME=FOLDER",
        help="bundles, or folders RUN/image_autoencoder",
    )
    parser.add_argument(
        "--store",
        type=_named,
        nargs="+",
        required=True,
        metavar="NAME=STORE",
        help="slice stores: their test slices, or all of a store without a split",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.files import ensure_output_folder

    from ..evaluation.reconstruction import read_images, write_reconstructions
    from ..stages.autoencoder import load_autoencoder

    models = {name: load_autoencoder(folder) for name, folder in arguments.model}
    out = ensure_output_folder(arguments.out)
    tested = [images for name, folder in arguments.store for images in read_images(name, folder)]
    write_reconstructions(models, tested, out)
    print((out / "reconstruction.md").read_text(encoding="utf-8"))
    return 0


def _named(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=FOLDER")
    return name, Path(folder)
