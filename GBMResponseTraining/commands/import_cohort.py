"""`gbmresponse-train import NAME SRC OUT`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import import_images

Found = tuple[list[Any], list[Any]]
"""Pairs and skipped patients; in a dry run, what is known of a pair before images are read."""


@dataclass(frozen=True)
class _Source:
    """One kind of cohort: how its command line looks, and how it is read."""

    name: str
    help: str
    source: str
    add_options: Callable[[argparse.ArgumentParser], None]
    read: Callable[[argparse.Namespace], Found]
    aliases: tuple[str, ...] = ()
    metavar: str = "SRC"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    importer = commands.add_parser("import", help="turn a cohort into a slice store, see docs/import-cohorts.md")
    names = importer.add_subparsers(dest="source_kind", required=True, metavar="NAME")
    for source in _SOURCES:
        parser = names.add_parser(source.name, help=source.help, aliases=source.aliases)
        parser.add_argument("source", type=Path, metavar=source.metavar, help=source.source)
        parser.add_argument("out", type=Path, metavar="OUT", help="folder of the store; start again to continue")
        source.add_options(parser)
        _add_common_options(parser)
        parser.set_defaults(run=run, read=source.read)
    import_images.add_parsers(names)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..datasets.pair import PairSource
    from ..store.importer import import_pairs
    from ..store.preparation import AlignmentRule
    from ..store.reports import label_summary, summary
    from ..store.slice_store import read_patients

    pairs, skipped = arguments.read(arguments)
    print(summary([pair for pair in pairs if isinstance(pair, PairSource)], skipped, len(pairs)))
    if arguments.dry_run:
        for item in skipped:
            print(f"  {item.patient}: {item.reason}")
        return 0
    result = import_pairs(
        pairs,
        arguments.out,
        *_preprocessing(arguments),
        AlignmentRule(
            register=arguments.register,
            lowest_correlation=arguments.lowest_correlation,
            keep_bad=arguments.keep_badly_registered,
            same_scan=arguments.same_scan,
        ),
        skipped,
        require_survival=not arguments.keep_unknown_survival,
        skull_strip=arguments.skull_strip,
    )
    labels = label_summary(read_patients(result.folder))
    print(f"Imported: {len(result.imported)}\nSkipped: {len(result.skipped)}" + (f"\n{labels}" if labels else ""))
    print(f"Store: {result.folder} (reports: imported.csv, skipped.csv, contact_sheet.png)")
    return 0


def _preprocessing(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """`InPlaneRule` and `NormalizationSettings` of the store."""
    from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
    from GBMResponseCore.model.bundle import open_bundle
    from GBMResponseCore.model.library import find_bundle

    if arguments.bundle is not None:
        bundle = open_bundle(find_bundle(arguments.bundle))
        return bundle.in_plane_rule, bundle.normalization
    return InPlaneRule.of_size(arguments.size), NormalizationSettings.from_dict({"kind": arguments.normalization})


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--register",
        choices=("auto", "always", "never"),
        default="auto",
        help="when to register post to pre (default auto: if their grids differ or they do not match)",
    )
    parser.add_argument(
        "--same-scan",
        action="store_true",
        help="a pair's images were acquired alike, as by simulate --same-scan: one scale for both, no registration",
    )
    parser.add_argument("--lowest-correlation", type=float, default=0.5, help="of pre and post; less is a bad match")
    parser.add_argument("--keep-badly-registered", action="store_true", help="import bad matches too, with a note")
    parser.add_argument(
        "--skull-strip", action="store_true", help="keep the brain alone, with the data set's mask or deepbet"
    )
    parser.add_argument("--keep-unknown-survival", action="store_true", help="import patients of unknown survival too")
    parser.add_argument(
        "--normalization",
        choices=("percentile", "max"),
        default="percentile",
        help="what becomes white: a high percentile of the head, which outliers do not move, or the largest value of "
        "the volume, nearly as in the paper (default percentile); models and figures of both do not compare",
    )
    parser.add_argument("--size", type=int, default=256, help="pixels per side of the slices, a multiple of 32")
    parser.add_argument(
        "--bundle",
        help="prepare slices as this bundle does, to fine-tune it, instead of by --normalization and --size",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be imported, and write nothing")


def _add_weeks(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--min-weeks", type=float, help=f"leave out pairs with {what} earlier than this")
    parser.add_argument("--max-weeks", type=float, help=f"leave out pairs with {what} later than this")


def _add_window(parser: argparse.ArgumentParser, start: str) -> None:
    parser.add_argument(
        "--post-weeks",
        type=float,
        nargs=2,
        default=(12, 24),
        metavar=("FIRST", "LAST"),
        help=f"weeks of the follow-up, counted from {start} (default 12 24)",
    )


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gtv-labels",
        type=int,
        nargs="+",
        default=(1, 3, 4),
        metavar="LABEL",
        help="1 non-enhancing core, 2 edema, 3 enhancing, 4 resection cavity (default 1 3 4)",
    )
    parser.add_argument("--diagnosis", metavar="REGEX", help="keep patients with this diagnosis, such as GBM")


def _window(arguments: argparse.Namespace) -> Any:
    from ..datasets.visits import Window

    return Window(*arguments.post_weeks)


def _cfb_gbm(arguments: argparse.Namespace) -> Found:
    from ..datasets.public.cfb_gbm import read_cfb_gbm, read_tables, report, select_candidates

    weeks = (arguments.min_weeks, arguments.max_weeks)
    tables = read_tables(arguments.source)
    print(report(tables, *weeks))
    if arguments.dry_run:
        # The tables alone decide, so that this works before the images are downloaded.
        return select_candidates(tables, *weeks)
    return read_cfb_gbm(arguments.source, *weeks)


def _lumiere_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pre-weeks", type=float, default=6, metavar="LAST", help="latest Post-Op visit (default 6)")
    _add_window(parser, "the pre-operative MRI")
    parser.add_argument(
        "--compartments",
        nargs="+",
        choices=("enhancing", "necrosis", "edema"),
        default=("enhancing", "necrosis"),
        help="what counts as GTV (default enhancing necrosis)",
    )


def _lumiere(arguments: argparse.Namespace) -> Found:
    from ..datasets.public.lumiere import LumiereRule, read_lumiere

    rule = LumiereRule(arguments.pre_weeks, _window(arguments), tuple(arguments.compartments))
    return read_lumiere(arguments.source, rule)


def _mu_options(parser: argparse.ArgumentParser) -> None:
    _add_window(parser, "the MRI before radiotherapy")
    _add_labels(parser)


def _mu_glioma_post(arguments: argparse.Namespace) -> Found:
    from ..datasets.public.mu_glioma_post import MuRule, read_mu_glioma_post

    rule = MuRule(_window(arguments), tuple(arguments.gtv_labels), arguments.diagnosis)
    return read_mu_glioma_post(arguments.source, rule)


def _sailor_options(parser: argparse.ArgumentParser) -> None:
    _add_window(parser, "the session before chemoradiation")
    parser.add_argument("--mask", default="ContrastEnhancedMask-CL", help="GTV file without .nii.gz")


def _sailor(arguments: argparse.Namespace) -> Found:
    from ..datasets.public.sailor import SailorRule, read_sailor

    return read_sailor(arguments.source, SailorRule(_window(arguments), arguments.mask))


def _ucsf_options(parser: argparse.ArgumentParser) -> None:
    _add_weeks(parser, "the second scan")
    _add_labels(parser)


def _ucsf_alptdg(arguments: argparse.Namespace) -> Found:
    from ..datasets.public.ucsf_alptdg import UcsfRule, read_ucsf_alptdg

    rule = UcsfRule(arguments.min_weeks, arguments.max_weeks, tuple(arguments.gtv_labels), arguments.diagnosis)
    return read_ucsf_alptdg(arguments.source, rule)


def _folder(arguments: argparse.Namespace) -> Found:
    from ..datasets.hospital.folder import read_folder

    return read_folder(arguments.source)


def _dicom_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=Path, required=True, metavar="CSV", help="patient, survival_days or dates")
    _add_window(parser, "the pre-treatment MRI")
    parser.add_argument("--series", metavar="REGEX", help="description of T1-Gd series (default: usual names)")
    parser.add_argument(
        "--roi",
        default="gtv",
        metavar="REGEX",
        help="name of the GTV in the RTSTRUCT (default gtv, without what is made from one as PTV=GTV+5mm)",
    )


def _dicom(arguments: argparse.Namespace) -> Found:
    from ..datasets.hospital.choice import DEFAULT_SERIES, DicomRule
    from ..datasets.hospital.dicom import find_pairs, read_dicom

    rule = DicomRule(arguments.series or DEFAULT_SERIES, arguments.roi, _window(arguments))
    if arguments.dry_run:
        pairs, skipped = find_pairs(arguments.source, arguments.table, rule)
        for pair in pairs:
            rois = ", ".join(roi.name for roi in pair.rois)
            print(f"{pair.patient}: {pair.pre.study_date} {pair.pre} -> {pair.post.study_date} {pair.post}; GTV {rois}")
            for note in pair.notes:
                print(f"  {note.sentence}")
        return pairs, skipped
    return read_dicom(arguments.source, arguments.table, arguments.out, rule)


_SOURCES = (
    _Source(
        "cfb-gbm",
        "CFB-GBM of The Cancer Imaging Archive, visits t0 and t1",
        "folder with the downloaded images and *.tsv tables",
        lambda parser: _add_weeks(parser, "t1"),
        _cfb_gbm,
    ),
    _Source(
        "lumiere",
        "LUMIERE, a post-operative visit and one three to six months later",
        "folder with the *.csv tables and the unpacked folder Imaging",
        _lumiere_options,
        _lumiere,
    ),
    _Source(
        "mu-glioma-post",
        "MU-Glioma-Post, the last MRI before radiotherapy and one three to six months later",
        "folder with the images and the workbook *.xlsx",
        _mu_options,
        _mu_glioma_post,
        ("mu",),
    ),
    _Source(
        "sailor",
        "SAILOR, the visit before chemoradiation and one three to six months later",
        "folder with the folders sub-NN",
        _sailor_options,
        _sailor,
    ),
    _Source(
        "ucsf-alptdg",
        "UCSF-ALPTDG, both scans after treatment: an external test, not the paper's task",
        "folder with the images and the workbook *.xlsx",
        _ucsf_options,
        _ucsf_alptdg,
        ("ucsf-lptdg", "ucsf"),
    ),
    _Source(
        "folder",
        "any cohort that a CSV file describes",
        "patient, pre, post, gtv, survival_days",
        lambda parser: None,
        _folder,
        metavar="CSV",
    ),
    _Source(
        "dicom",
        "hospital data: DICOM series, RTSTRUCTs and a CSV file, see docs/hospital-dicom.md",
        "folder of the exported patients",
        _dicom_options,
        _dicom,
    ),
)
