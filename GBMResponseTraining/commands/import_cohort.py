"""`gbmresponse-train import NAME SRC OUT`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
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
        parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.geometry import InPlaneRule
    from GBMResponseCore.intensity import NormalisationSettings

    from ..datasets.cfb_gbm import read_cfb_gbm
    from ..datasets.folder import read_folder
    from ..datasets.importer import import_pairs
    from ..datasets.prepared import AlignmentRule
    from ..datasets.reports import summary

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
