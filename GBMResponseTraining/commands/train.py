"""`gbmresponse-train train STAGE`."""

import argparse

from .run_options import add_run_options, open_run

STAGES = {
    "image-autoencoder": "the VQ-VAE shared by pre- and post-treatment MRI",
    "gtv-autoencoder": "the VQ-VAE of the GTV",
    "classifier": "the survival classifier, with out-of-fold predictions",
    "latents": "encode all slices (done by `train diffusion` too; do it first when torchrun or SLURM starts that)",
    "diffusion": "the latent diffusion model of one configuration",
}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    train = commands.add_parser("train", help="train one network of a run, see docs/training.md")
    stages = train.add_subparsers(dest="stage", required=True)
    for stage, text in STAGES.items():
        parser = stages.add_parser(stage, help=text)
        if stage == "diffusion":
            parser.add_argument("configuration", help="no-class, predicted-2-class, 2-class, 4-class or 2-and-4-class")
        add_run_options(parser)
        parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..settings.model_configurations import model_configuration
    from ..stages.autoencoder import train_autoencoder
    from ..stages.classifier import train_classifier
    from ..stages.diffusion import cached_latents, train_diffusion

    stage = arguments.stage
    configuration = model_configuration(arguments.configuration) if stage == "diffusion" else None
    training_run = open_run(arguments)
    if stage == "diffusion":
        train_diffusion(training_run, configuration)
    elif stage == "classifier":
        train_classifier(training_run)
    elif stage == "latents":
        cached_latents(training_run)
    else:
        train_autoencoder(training_run, stage.removesuffix("-autoencoder"))
    return 0
