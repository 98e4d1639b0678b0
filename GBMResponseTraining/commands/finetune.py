"""`gbmresponse-train finetune`."""

import argparse
from pathlib import Path

from .run_options import add_machine_options, machine_of


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    finetune = commands.add_parser(
        "finetune",
        help="train a bundle further on cases of your own, see docs/training.md",
        description="Makes a bundle of the same kind from a bundle and a slice store of 20 to 150 cases or more: its "
        "denoiser learns on with small steps until the validation patients say that it does not help any more. "
        "Start it again with --run alone to continue.",
    )
    finetune.add_argument("--bundle", help="folder or name of the bundle to start from; needed for a new run")
    finetune.add_argument("--store", type=Path, help="slice store with training and validation patients; for a new run")
    finetune.add_argument("--run", dest="run_folder", type=Path, required=True, help="run folder; new, or to continue")
    finetune.add_argument(
        "--train",
        nargs="+",
        default=[],
        choices=("image-autoencoder", "classifier"),
        metavar="PART",
        help="image-autoencoder: its decoder too (the latents stay); classifier: a new one (default: both are kept)",
    )
    finetune.add_argument("--name", help="name in bundle.json (default: PARENT-fine-tuned)")
    finetune.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a setting, for example diffusion.training.learning_rate=2e-5; repeatable",
    )
    add_machine_options(finetune)
    finetune.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.model.library import find_bundle

    from ..bundles.fine_tuning import fine_tuning_run, stores_half
    from ..bundles.stage import check_bundle_name, export_configuration

    check_bundle_name(arguments.name)
    overrides = [*arguments.overrides, *(f"{part.replace('-', '_')}.kept=false" for part in arguments.train)]
    training_run, configuration = fine_tuning_run(
        arguments.run_folder,
        None if arguments.bundle is None else find_bundle(arguments.bundle),
        arguments.store,
        overrides,
        lambda settings: machine_of(arguments, settings),
    )
    parent = training_run.parent
    name = arguments.name or f"{parent.name}-fine-tuned"
    print(f"Bundle: {export_configuration(training_run, configuration, half=stores_half(parent), name=name)}")
    return 0
