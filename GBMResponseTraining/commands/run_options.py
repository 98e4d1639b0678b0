"""Options that all commands on a run folder share."""

import argparse
from pathlib import Path
from typing import Any


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Declare which run, with which settings, on which machine."""
    run = parser.add_argument_group("run")
    run.add_argument("--run", dest="run_folder", type=Path, required=True, help="run folder; start again to continue")
    run.add_argument("--store", type=Path, help="slice store; needed for a new run")
    run.add_argument(
        "--extra-images",
        type=Path,
        nargs="+",
        default=[],
        metavar="STORE",
        help="slice stores whose slices the image autoencoder learns too, all of them; for a new run",
    )
    run.add_argument("--preset", help="paper, small, demo or shipped; for a new run (default: small)")
    run.add_argument("--config", type=Path, help="YAML file instead of a preset")
    run.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a setting, for example diffusion.training.epochs=50; repeatable",
    )
    machine = add_machine_options(parser)
    machine.add_argument("--devices", type=int, default=1, help="processes on this node; more than 1: DDP")
    machine.add_argument("--nodes", type=int, default=1, help="nodes, started by SLURM or torchrun")


def add_machine_options(parser: argparse.ArgumentParser) -> Any:
    """Declare where one process runs; returns the group of options."""
    machine = parser.add_argument_group("machine")
    machine.add_argument("--accelerator", default="auto", choices=("auto", "cpu", "gpu", "mps"))
    machine.add_argument("--precision", choices=("auto", "32-true", "bf16-mixed"), help="default: the configuration's")
    machine.add_argument("--workers", type=int, help="data loading processes per device; default: the configuration's")
    return machine


def machine_of(arguments: argparse.Namespace, configuration: Any) -> Any:
    """Return the `Machine` that the options and a configuration ask for.

    :raises DeviceError: the machine is not so equipped.
    """
    from ..engine.machine import Machine

    machine = Machine(
        accelerator=arguments.accelerator,
        devices=getattr(arguments, "devices", 1),
        nodes=getattr(arguments, "nodes", 1),
        precision=arguments.precision or configuration.precision,
        workers=configuration.workers if arguments.workers is None else arguments.workers,
    )
    machine.check()
    return machine


def open_run(arguments: argparse.Namespace) -> Any:
    """Return the `TrainingRun` that the options name.

    :raises OptionError, ConfigurationError: the options contradict each other or the run folder.
    :raises DeviceError: the machine is not so equipped.
    """
    from GBMResponseCore.errors import OptionError

    from ..engine.checkpoints import SNAPSHOT
    from ..settings.reader import load_configuration
    from ..stages.training_run import TrainingRun

    if arguments.preset and arguments.config:
        raise OptionError("Both --preset and --config are given.", "Give one of them.")
    if arguments.devices < 1 or arguments.nodes < 1:
        raise OptionError("--devices and --nodes must be 1 or more.")
    snapshot = arguments.run_folder / SNAPSHOT
    stated = arguments.preset or arguments.config
    if arguments.store is None and not snapshot.is_file():
        raise OptionError(f"There is no run in {arguments.run_folder} yet.", "Name the slice store with --store.")
    source = stated or (snapshot if snapshot.is_file() else "small")
    configuration = load_configuration(source, arguments.overrides)
    machine = machine_of(arguments, configuration)
    if arguments.store is None:
        run = TrainingRun.reopen(arguments.run_folder, machine)
        return TrainingRun(arguments.run_folder, configuration, run.store_folder, machine, arguments.extra_images)
    return TrainingRun(arguments.run_folder, configuration, arguments.store, machine, arguments.extra_images)
