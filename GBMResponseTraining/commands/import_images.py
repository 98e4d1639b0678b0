"""`gbmresponse-train import cheng SRC OUT` and `import heads CSV OUT`: images without a follow-up."""

import argparse
from pathlib import Path


def add_parsers(names: argparse._SubParsersAction) -> None:
    """Declare the commands."""
    cheng = names.add_parser(
        "cheng", help="Cheng brain tumor dataset: axial slices for the image autoencoder (--extra-images)"
    )
    cheng.add_argument("source", type=Path, metavar="SRC", help="folder with index.csv and JPEG files or *.tar of them")
    cheng.add_argument("--held-out", action="store_true", help="the slices for tests instead of those to train on")
    cheng.set_defaults(run=run_cheng)
    heads = names.add_parser("heads", help="all slices of volumes, for the image autoencoder (--extra-images)")
    heads.add_argument("source", type=Path, metavar="CSV", help="patient, image; several rows per patient")
    heads.set_defaults(run=run_heads)
    for parser in (cheng, heads):
        parser.add_argument("out", type=Path, metavar="OUT", help="folder of the store")
        parser.add_argument("--size", type=int, default=256, help="pixels per side of the slices, a multiple of 32")
        parser.add_argument("--dry-run", action="store_true", help="say what would be imported, and write nothing")


def run_cheng(arguments: argparse.Namespace) -> int:
    """Run `import cheng`; returns its exit code."""
    from itertools import groupby

    import numpy as np
    from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
    from tqdm import tqdm

    from ..datasets.public.cheng import CITATION, GUARD, HELD_OUT, PIXEL_MM, SOURCE, read_images, read_index
    from ..store.reports import write_skipped
    from ..store.single_images import SingleImages, resized_slice, write_single_images

    chosen, skipped = read_index(arguments.source, arguments.held_out)
    print(f"Slices chosen: {len(chosen)}; left out: {len(skipped)}")
    if arguments.dry_run:
        return 0
    size, settings = InPlaneRule.of_size(arguments.size).size, NormalizationSettings()
    images = tqdm(read_images(arguments.source, chosen), total=len(chosen), desc="Importing", unit="slice")
    pairs = zip(chosen, images, strict=True)
    made = [resized_slice(image, item.box, PIXEL_MM, size, settings) for item, image in pairs]
    groups = []
    for block, members in groupby(zip(chosen, made, strict=True), key=lambda member: member[0].block):
        items, slices = zip(*members, strict=True)
        record = {"dataset": "Cheng", "source": SOURCE, "numbers": [item.number for item in items]}
        pixels, masks = map(np.stack, zip(*slices, strict=True))
        groups.append(SingleImages(block, pixels, masks, record))
    ranges = ", ".join(f"{first} to {last}" for first, last in HELD_OUT)
    statement = (
        f"Slices of {SOURCE}. Changed: axial ones chosen, resized, intensities scaled; boxes as masks.\n\n"
        f"{CITATION}\n\n{'These are the' if arguments.held_out else 'Left out are'} held-out numbers {ranges} of the "
        f"original files{'' if arguments.held_out else f', and those nearer than {GUARD} to them'}.\n"
    )
    write_single_images(groups, arguments.out, statement, settings, arguments.held_out)
    write_skipped(skipped, arguments.out / "skipped.csv")
    print(f"Store: {arguments.out} ({len(made)} slices in {len(groups)} blocks of numbers)\n{CITATION}")
    return 0


def run_heads(arguments: argparse.Namespace) -> int:
    """Run `import heads`; returns its exit code."""
    from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings

    from ..datasets.hospital.heads import read_heads
    from ..store.single_images import head_images, write_single_images

    images = read_heads(arguments.source)
    print(f"Patients: {len(images)}; volumes: {sum(map(len, images.values()))}")
    if arguments.dry_run:
        return 0
    rule, settings = InPlaneRule.of_size(arguments.size), NormalizationSettings()
    groups = [head_images(patient, paths, rule, settings) for patient, paths in images.items()]
    write_single_images(groups, arguments.out, f"Volumes that {arguments.source.name} names.\n", settings)
    print(f"Store: {arguments.out} ({sum(len(group.slices) for group in groups)} slices)")
    return 0
