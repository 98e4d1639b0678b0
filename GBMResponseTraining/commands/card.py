"""`gbmresponse-train card`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    card = commands.add_parser("card", help="write the model card of an exported bundle from one or more evaluations")
    card.add_argument("configuration", help="no-class, predicted-2-class, 2-class, 4-class or 2-and-4-class")
    card.add_argument("--run", dest="run_folder", type=Path, required=True, help="run folder")
    card.add_argument(
        "--report",
        dest="reports",
        action="append",
        required=True,
        metavar="TITLE=OUT",
        help="a section of the card: folder of an evaluation, or its report.json; repeatable, the main one first",
    )
    card.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.model.bundle import open_bundle

    from ..bundles.stage import CARD, check_evaluated, describe_bundle, exported_bundle
    from ..settings.model_configurations import model_configuration
    from ..stages.training_run import TrainingRun

    configuration = model_configuration(arguments.configuration)
    reports = read_reports(arguments.reports)
    training_run = TrainingRun.reopen(arguments.run_folder)
    folder = exported_bundle(training_run, configuration)
    bundle = open_bundle(folder)
    for title, report in reports:
        check_evaluated(bundle, title, report)
    describe_bundle(training_run, configuration, reports)
    print(f"Model card: {folder / CARD}")
    return 0


def read_reports(texts: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Title and content of the reports that `TITLE=OUT` names.

    :raises OptionError: one has another form, a title is given twice, or a file is no report, or of an older version.
    :raises MissingFileError, EmptyFileError: there is no report.
    """
    from GBMResponseCore.errors import OptionError
    from GBMResponseCore.files import check_file

    from ..evaluation.results import REPORT

    reports: list[tuple[str, dict[str, Any]]] = []
    for text in texts:
        title, _, place = text.partition("=")
        if not title.strip() or not place:
            raise OptionError(f"Cannot read the report {text!r}.", "Write TITLE=FOLDER or TITLE=FOLDER/report.json.")
        path = Path(place) / REPORT if Path(place).is_dir() else Path(place)
        try:
            report = json.loads(check_file(path, "evaluation's report").read_text(encoding="utf-8"))
        except ValueError as error:
            raise OptionError(f"{path} is no report of an evaluation.", "Name the folder of an evaluation.") from error
        if not isinstance(report, dict) or not {"table", "models", "split"} <= report.keys():
            raise OptionError(f"{path} is no report of an evaluation.", "Name the folder of an evaluation.")
        if "fitted" not in (report.get("scores") or {"fitted": None}):
            raise OptionError(
                f"{path} is the report of an older version, whose baselines were weaker.",
                "Evaluate again into the same folder: finished predictions are kept.",
            )
        reports.append((title.strip(), report))
    titles = [title for title, _ in reports]
    if len(set(titles)) < len(titles):
        raise OptionError("Two reports have one title.", "Give every report a title of its own.")
    return reports
