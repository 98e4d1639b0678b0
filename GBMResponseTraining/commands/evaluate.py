"""`gbmresponse-train evaluate`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model_predictions import EvaluatedModel

CONFIGURATIONS = {
    "no-class": ("no class", None, "none"),
    "predicted-2-class": ("predicted 2-class", "2-class", "predicted"),
    "2-class": ("2-class", "2-class", "true"),
    "4-class": ("4-class", "4-class", "true"),
}
"""Folder below RUN/bundles -> name, class scheme and class source: the rows of the paper's Table 1."""


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
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32", help="float32, bfloat16 or auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.errors import OptionError

    from ..evaluate_bundles import EvaluationOptions, evaluate
    from ..evaluation_tables import slice_table

    out = arguments.out
    if out is None:
        if arguments.run_folder is None:
            raise OptionError("There is no folder for the results.", "Name it after the slice store.")
        out = arguments.run_folder / "evaluation"
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
    )
    report = evaluate(models, arguments.store, out, options)
    print(slice_table(report))
    for note in report["notes"]:
        print(f"Note: {note}")
    print(f"Results: {out}")
    return 0


def parse_model(text: str) -> "EvaluatedModel":
    """Read `NAME=BUNDLE[:SCHEME[:SOURCE]]`.

    :raises OptionError: it has another form.
    :raises BundleError: no scheme is named and the bundle cannot be opened to find one.
    """
    from GBMResponseCore.bundle import open_bundle
    from GBMResponseCore.errors import OptionError
    from GBMResponseCore.survival import NO_CLASS

    from ..model_predictions import CLASS_SOURCES, EvaluatedModel

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


def models_of_run(folder: Path) -> Sequence["EvaluatedModel"]:
    """The four configurations of the paper, as far as their bundles are in `RUN/bundles`.

    :raises BundleError: there is none.
    """
    from GBMResponseCore.errors import BundleError

    from ..model_predictions import EvaluatedModel

    models = [
        EvaluatedModel(name, folder / "bundles" / configuration, scheme, source)
        for configuration, (name, scheme, source) in CONFIGURATIONS.items()
        if (folder / "bundles" / configuration / "bundle.json").is_file()
    ]
    if not models:
        raise BundleError(
            f"The run {folder.name} has no bundle in bundles/: none of {', '.join(CONFIGURATIONS)}.",
            "Export them with `gbmresponse-train export`.",
        )
    return models
