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

    _add_import(commands)

    split = commands.add_parser("split", help="split the patients of a slice store 80/10/10 for all stages")
    split.add_argument("store", type=Path, help="folder of the slice store; patient_split.csv is kept there")
    split.add_argument("--seed", type=int, default=0)
    split.set_defaults(run=_split)
    return parser


def _add_import(commands: argparse._SubParsersAction) -> None:
    importer = commands.add_parser("import", help="turn a cohort into a slice store, see docs/import-cohorts.md")
    sources = importer.add_subparsers(dest="source_kind", required=True)
    cfb_gbm = sources.add_parser("cfb-gbm", help="CFB-GBM of The Cancer Imaging Archive, visits t0 and t1")
    cfb_gbm.add_argument("source", type=Path, metavar="SRC", help="folder with the downloaded images and *.tsv tables")
    cfb_gbm.add_argument("--min-weeks", type=float, help="leave out pairs with t1 earlier than this after t0")
    cfb_gbm.add_argument("--max-weeks", type=float, help="leave out pairs with t1 later than this after t0")

    folder = sources.add_parser("folder", help="any cohort that a CSV file describes")
    folder.add_argument("source", type=Path, metavar="CSV", help="patient, pre, post, gtv, survival_days")
    for parser in (cfb_gbm, folder):
        parser.add_argument("out", type=Path, metavar="OUT", help="folder of the store; start again to continue")
        parser.add_argument(
            "--register",
            choices=("auto", "always", "never"),
            default="auto",
            help="when to register post to pre (default auto: if their grids differ or they do not match)",
        )
        parser.add_argument(
            "--lowest-correlation", type=float, default=0.5, help="of pre and post; less is a bad match"
        )
        parser.add_argument("--keep-badly-registered", action="store_true", help="import bad matches too, with a note")
        parser.set_defaults(run=_import_cohort)


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


def _import_cohort(arguments: argparse.Namespace) -> int:
    from GBMResponseCore.geometry import InPlaneRule
    from GBMResponseCore.intensity import NormalisationSettings

    from .datasets.cfb_gbm import read_cfb_gbm
    from .datasets.folder import read_folder
    from .datasets.importer import import_pairs
    from .datasets.prepared import AlignmentRule
    from .datasets.reports import summary

    if arguments.source_kind == "cfb-gbm":
        pairs, skipped = read_cfb_gbm(arguments.source, arguments.min_weeks, arguments.max_weeks)
    else:
        pairs, skipped = read_folder(arguments.source)
    print(summary(pairs, skipped))
    alignment = AlignmentRule(arguments.register, arguments.lowest_correlation, arguments.keep_badly_registered)
    result = import_pairs(pairs, arguments.out, InPlaneRule(), NormalisationSettings(), alignment, skipped)
    print(f"Imported: {len(result.imported)}\nSkipped: {len(result.skipped)}")
    print(f"Store: {result.folder} (reports: imported.csv, skipped.csv, contact_sheet.png)")
    return 0


def _split(arguments: argparse.Namespace) -> int:
    from .slice_store import read_patients
    from .splits import SPLIT_FILE, SPLITS, split_store, survival_thresholds

    patients = read_patients(arguments.store)
    split = split_store(arguments.store, patients, arguments.seed)
    for name in SPLITS:
        print(f"{name}: {sum(value == name for value in split.values())}")
    for classes in (2, 4):
        days = ", ".join(f"{value:.1f}" for value in survival_thresholds(patients, split, classes))
        print(f"Survival thresholds of {classes} classes, from training patients, in days: {days}")
    print(f"Split: {arguments.store / SPLIT_FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
