"""`gbmresponse-train experiment`: from a slice store to Table 1, Figure 4 and bundles."""

import argparse
import subprocess
import sys
from typing import Any

from .run_options import add_run_options, open_run


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    experiment = commands.add_parser(
        "experiment", help="train and evaluate the four configurations of the paper's Table 1, see docs/training.md"
    )
    experiment.add_argument(
        "--configurations",
        nargs="+",
        default=["no-class", "predicted-2-class", "2-class", "4-class"],
        help="which ones (default: the four of Table 1)",
    )
    experiment.add_argument("--evaluation-split", default="test", help="train, validation or test")
    experiment.add_argument("--max-slices", type=int, help="evaluate at most so many slices per patient")
    experiment.add_argument("--guidance-sweep", type=float, nargs="+", default=[], metavar="S")
    add_run_options(experiment)
    experiment.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..bundle_stage import export_configuration
    from ..evaluate_bundles import EvaluationOptions
    from ..model_configurations import model_configuration
    from .evaluate import evaluate_run

    configurations = [model_configuration(name) for name in arguments.configurations]
    training_run = open_run(arguments)
    if training_run.machine.processes > 1:
        _train_in_processes(arguments, training_run)
        training_run = type(training_run).reopen(training_run.folder)
    for configuration in configurations:
        export_configuration(training_run, configuration)
    options = EvaluationOptions(
        split=arguments.evaluation_split,
        max_slices_per_patient=arguments.max_slices,
        guidance_sweep=tuple(arguments.guidance_sweep),
    )
    evaluate_run(training_run.folder, options)
    return 0


def _train_in_processes(arguments: argparse.Namespace, training_run: Any) -> None:
    """Train every network by a command of its own: DDP starts that command again for every device."""
    machine = training_run.machine
    options = [
        "--run", str(training_run.folder), "--accelerator", machine.accelerator, "--devices", str(machine.devices),
        "--nodes", str(machine.nodes), "--precision", machine.precision, "--workers", str(machine.workers),
    ]  # fmt: skip
    stages = [["image-autoencoder"], ["gtv-autoencoder"], ["classifier"], ["latents"]]
    stages += [["diffusion", name] for name in arguments.configurations]
    for stage in stages:
        subprocess.run([sys.executable, "-m", "GBMResponseTraining.cli", "train", *stage, *options], check=True)
