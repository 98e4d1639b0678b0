"""`gbmresponse-train export`."""

import argparse

from .run_options import add_run_options, open_run


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    export = commands.add_parser("export", help="write the bundle of a configuration, training what is missing")
    export.add_argument("configuration", help="no-class, predicted-2-class, 2-class, 4-class or 2-and-4-class")
    export.add_argument("--name", help="name in bundle.json (default: NAME-CONFIGURATION, NAME as configured)")
    export.add_argument(
        "--guidance",
        type=float,
        metavar="SCALE",
        help="guidance scale that the bundle is used with unless another is asked for (default: as configured); choose "
        "it by `evaluate --split validation --guidance-sweep`",
    )
    export.add_argument("--full-precision", action="store_true", help="float32 weights: twice the size")
    add_run_options(export)
    export.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..bundles.stage import check_bundle_name, export_configuration
    from ..settings.model_configurations import model_configuration

    configuration = model_configuration(arguments.configuration)
    check_bundle_name(arguments.name)
    folder = export_configuration(
        open_run(arguments),
        configuration,
        half=not arguments.full_precision,
        name=arguments.name,
        guidance_scale=arguments.guidance,
    )
    print(f"Bundle: {folder}")
    return 0
