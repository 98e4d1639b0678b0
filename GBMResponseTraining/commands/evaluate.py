"""`gbmresponse-train evaluate`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..evaluation.model_predictions import EvaluatedModel
    from ..evaluation.options import EvaluationOptions

ONE_NETWORK = "(one network)"
"""Ends the rows of the bundle with both schemes where bundles of the single configurations have rows, too."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "evaluate", help="compare bundles with the held-out follow-ups: Table 1, baselines, tests and Figure 4"
    )
    parser.add_argument("store", type=Path, help="slice store with its patient_split.csv")
    parser.add_argument("out", type=Path, nargs="?", help="folder of the results (default with --run: RUN/evaluation)")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=BUNDLE[:SCHEME[:SOURCE]]",
        help="a row of the table; SCHEME is a class scheme of the bundle or none, SOURCE is true or predicted "
        "(default: the bundle's first scheme and true); may be repeated",
    )
    parser.add_argument("--run", dest="run_folder", type=Path, help="run folder: evaluate the bundles RUN/bundles/*")
    parser.add_argument("--split", default="test", help="train, validation or test")
    parser.add_argument("--metrics", default="standard", help="standard, or authors for their definitions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=1, help="samples per slice")
    parser.add_argument("--guidance", type=float, help="guidance scale (default: each bundle's)")
    parser.add_argument("--sampler", help="unipc, dpmpp, ddim or ddpm (default: each bundle's)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: each bundle's)")
    parser.add_argument("--eta", type=float, help="stochasticity of ddim (default: each bundle's)")
    parser.add_argument("--guidance-sweep", type=float, nargs="+", default=[], metavar="S", help="compare these scales")
    parser.add_argument("--figure-slices", type=int, default=5, help="rows of Figure 4")
    parser.add_argument("--max-slices", type=int, help="most slices per patient, evenly spaced (default: all)")
    parser.add_argument("--data", default="", help="what the data are, for the tables (default: as the store says)")
    parser.add_argument("--batch-size", type=int, help="slices at once (default: by free memory)")
    parser.add_argument(
        "--no-compose",
        dest="compose",
        action="store_false",
        help="whole slices, as in the paper, not as users see them",
    )
    parser.add_argument(
        "--tuning-store",
        type=Path,
        help="its training patients tell the baselines rates and usual changes (default: the run's, or the store's)",
    )
    parser.add_argument(
        "--stores",
        action="store_true",
        help="write OUT/truths and OUT/samples, slice stores that `realism --image post` can try to tell apart",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32", help="float32, bfloat16 or auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.errors import OptionError

    from ..evaluation.options import EvaluationOptions

    if arguments.run_folder is None and arguments.store is None:
        raise OptionError("There are no slices to evaluate on.", "Name a slice store, or a run folder with --run.")
    if arguments.run_folder is None and arguments.out is None:
        raise OptionError("There is no folder for the results.", "Name it after the slice store.")
    models = [parse_model(text) for text in arguments.model]
    if arguments.run_folder is not None:
        models += models_of_run(arguments.run_folder)
    given = {
        "guidance_scale": arguments.guidance,
        "sampler": arguments.sampler,
        "steps": arguments.steps,
        "eta": arguments.eta,
    }
    sampling: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    options = EvaluationOptions(
        split=arguments.split,
        seed=arguments.seed,
        samples=arguments.samples,
        sampling=sampling,
        metrics=arguments.metrics,
        batch_size=arguments.batch_size,
        device=arguments.device,
        precision=arguments.precision,
        max_slices_per_patient=arguments.max_slices,
        figure_slices=arguments.figure_slices,
        guidance_sweep=tuple(arguments.guidance_sweep),
        data=arguments.data,
        compose=arguments.compose,
        tuning_store=arguments.tuning_store or known_store(arguments.run_folder),
        stores=arguments.stores,
    )
    out = arguments.out or arguments.run_folder / "evaluation"
    _evaluate(models, arguments.store or _store_of(arguments.run_folder), out, options, arguments.run_folder)
    return 0


def evaluate_run(folder: Path, options: "EvaluationOptions") -> None:
    """Evaluate the bundles of a run on its slice store, into `RUN/evaluation` and the bundles' model cards."""
    _evaluate(models_of_run(folder), _store_of(folder), folder / "evaluation", options, folder)


def _evaluate(
    models: Sequence["EvaluatedModel"], store: Path, out: Path, options: "EvaluationOptions", run_folder: Path | None
) -> None:
    from ..evaluation.evaluate import evaluate
    from ..evaluation.tables import slice_table

    report = evaluate(models, store, out, options)
    if run_folder is not None and options.split == "test":
        _describe_bundles(run_folder, report)
    print(slice_table(report))
    for sentence in report["scores"]["sentences"] if report["scores"] else ():
        print(sentence.strip("*"))
    for note in report["notes"]:
        print(f"Note: {note}")
    print(f"Results: {out}")


def _store_of(run_folder: Path) -> Path:
    from ..stages.training_run import TrainingRun

    return TrainingRun.reopen(run_folder).store_folder


def known_store(run_folder: Path | None) -> Path | None:
    """The slice store that a run was trained with, if it still lies where the run says."""
    from ..store.splits import SPLIT_FILE, STORE_FILE

    if run_folder is None or not (run_folder / STORE_FILE).is_file():
        return None
    store = Path(json.loads((run_folder / STORE_FILE).read_text(encoding="utf-8"))["store"])
    return store if (store / SPLIT_FILE).is_file() else None


def _describe_bundles(run_folder: Path, report: dict[str, Any]) -> None:
    """Bring the figures into the model cards of a run that our training made."""
    from ..bundles.stage import BUNDLES, describe_bundle
    from ..engine.checkpoints import SNAPSHOT
    from ..settings.model_configurations import BOTH_SCHEMES, TABLE_1
    from ..stages.training_run import TrainingRun

    if not (run_folder / SNAPSHOT).is_file():
        return
    training_run = TrainingRun.reopen(run_folder)
    for configuration in (*TABLE_1, BOTH_SCHEMES):
        if (run_folder / BUNDLES / configuration.name / "bundle.json").is_file():
            describe_bundle(training_run, configuration, [("", report)])


def parse_model(text: str) -> "EvaluatedModel":
    """Read `NAME=BUNDLE[:SCHEME[:SOURCE]]`.

    :raises OptionError: it has another form.
    :raises BundleError: no scheme is named and the bundle cannot be opened to find one.
    """
    from GBMResponseCore.errors import OptionError
    from GBMResponseCore.model.bundle import open_bundle
    from GBMResponseCore.request import NO_CLASS

    from ..evaluation.model_predictions import CLASS_SOURCES, EvaluatedModel

    name, separator, rest = text.partition("=")
    if not separator or not name or not rest:
        raise OptionError(f"Cannot read the model {text!r}.", "Write NAME=BUNDLE, NAME=BUNDLE:2-class:true and so on.")
    parts = rest.split(":")
    source = scheme = None
    # "none" alone is a scheme.
    if len(parts) > 2 and parts[-1] in CLASS_SOURCES:
        source = parts.pop()
    if len(parts) > 1 and not set(parts[-1]) & set("/\\"):
        scheme = parts.pop()
    bundle = Path(":".join(parts))
    if scheme is None:
        scheme = next(iter(open_bundle(bundle).schemes), NO_CLASS)
    if scheme == NO_CLASS:
        return EvaluatedModel(name, bundle, None, source or "none")
    return EvaluatedModel(name, bundle, scheme, source or "true")


def models_of_run(folder: Path) -> list["EvaluatedModel"]:
    """The four configurations of the paper, as far as their bundles are in `RUN/bundles`.

    The bundle with both class schemes makes all four rows by itself: its null class is the model without class.

    :raises BundleError: there is none.
    """
    from GBMResponseCore.errors import BundleError

    from ..evaluation.model_predictions import EvaluatedModel
    from ..settings.model_configurations import BOTH_SCHEMES, TABLE_1

    bundles = folder / "bundles"
    models = [
        EvaluatedModel(entry.title, bundles / entry.name, entry.evaluated_scheme, entry.class_source)
        for entry in TABLE_1
        if (bundles / entry.name / "bundle.json").is_file()
    ]
    if (bundles / BOTH_SCHEMES.name / "bundle.json").is_file():
        ending = f" {ONE_NETWORK}" if models else ""
        models += [
            EvaluatedModel(
                f"{entry.title}{ending}", bundles / BOTH_SCHEMES.name, entry.evaluated_scheme, entry.class_source
            )
            for entry in TABLE_1
        ]
    if not models:
        names = ", ".join(entry.name for entry in (*TABLE_1, BOTH_SCHEMES))
        raise BundleError(
            f"The run {folder.name} has no bundle in bundles/: none of {names}.",
            "Export them with `gbmresponse-train export`.",
        )
    return models
