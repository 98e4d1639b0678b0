"""`gbmresponse-train experiment`: from a slice store to Table 1, Figure 4 and bundles."""

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from .run_options import add_run_options, open_run

if TYPE_CHECKING:
    from ..evaluation.options import EvaluationOptions


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
    from ..bundles.stage import export_configuration
    from ..evaluation.options import EvaluationOptions
    from ..settings.model_configurations import model_configuration
    from ..stages.diffusion import check_diffusion
    from .evaluate import evaluate_run

    configurations = [model_configuration(name) for name in arguments.configurations]
    options = EvaluationOptions(
        split=arguments.evaluation_split,
        max_slices_per_patient=arguments.max_slices,
        guidance_sweep=tuple(arguments.guidance_sweep),
    )
    _check_start(arguments.nodes)
    training_run = open_run(arguments)
    _check_evaluation(training_run, options)
    for configuration in configurations:
        check_diffusion(training_run, configuration)
    if training_run.machine.processes > 1:
        exit_code = _train_in_processes(arguments, training_run)
        if exit_code:
            return exit_code
        training_run = type(training_run).reopen(training_run.folder)
    for configuration in configurations:
        export_configuration(training_run, configuration)
    evaluate_run(training_run.folder, options)
    return 0


def _check_start(nodes: int) -> None:
    """:raises OptionError: several processes run this command, each of which would run all of it."""
    from GBMResponseCore.errors import OptionError
    from lightning.fabric.plugins.environments import TorchElasticEnvironment

    if nodes > 1 or TorchElasticEnvironment.detect() or int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        raise OptionError(
            "`experiment` starts its processes itself, on one node.",
            "Run it alone with --devices, or the commands `train` and `export` one by one (docs/training.md).",
        )


def _check_evaluation(training_run: Any, options: "EvaluationOptions") -> None:
    """:raises OptionError: what could not be evaluated after all the training."""
    from GBMResponseCore.errors import OptionError

    if not len(training_run.rows(options.split)):
        raise OptionError(f"The split '{options.split}' of the slice store has no slice to evaluate on.")
    if options.max_slices_per_patient is not None and training_run.configuration.diffusion.neighbor_slices:
        raise OptionError(
            "A selection of slices lacks the neighbors that the model looks at.", "Leave out --max-slices."
        )


def _train_in_processes(arguments: argparse.Namespace, training_run: Any) -> int:
    """Train every network by a command of its own, which DDP starts again for every device; return an exit code."""
    from ..settings.model_configurations import model_configuration

    machine = training_run.machine
    options = [
        "--run", str(training_run.folder), "--accelerator", machine.accelerator, "--devices", str(machine.devices),
        "--nodes", str(machine.nodes), "--precision", machine.precision, "--workers", str(machine.workers),
    ]  # fmt: skip
    stages = [["image-autoencoder"], ["gtv-autoencoder"], ["latents"]]
    if any(model_configuration(name).schemes for name in arguments.configurations):
        stages.append(["classifier"])
    stages += [["diffusion", name] for name in arguments.configurations]
    for stage in stages:
        done = subprocess.run([sys.executable, "-m", "GBMResponseTraining.cli", "train", *stage, *options], check=False)
        if done.returncode:
            # A signal's number is negative.
            return done.returncode if done.returncode > 0 else 1
    return 0
