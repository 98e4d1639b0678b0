"""What a fine-tuned bundle takes over from the one it comes from, and what its card says about that."""

from collections.abc import Mapping
from typing import Any

from GBMResponseCore.measure.guard import JOINT
from GBMResponseCore.model.bundle import Bundle

from ..settings.model_configurations import ModelConfiguration
from ..stages.diffusion import BEFORE_AND_AFTER
from ..stages.training_run import TrainingRun

NO_GAIN = "**Fine-tuning did not help on the validation patients: use the bundle that it began with.** "


def inherit(description: dict[str, Any], parent: Bundle) -> None:
    """Complete the fields of a fine-tuned bundle's `bundle.json` with what only its parent knows."""
    before = parent.description
    description["latents"]["requantize"] = before["latents"]["requantize"]
    kept = ("composition", "enhancement_head", "enhancement_probability", "volume_interval_factor")
    description |= {name: before[name] for name in kept if name in before}
    if parent.default_days is not None:
        description["conditioning"].setdefault("default_days_since_rt", parent.default_days)
    # What the parent has learned is usual for its children, too.
    # How features hang together in both cohorts at once, neither of them tells.
    both = [
        {name: known for name, known in ranges.items() if name not in JOINT}
        for ranges in (before["ranges"], description["ranges"])
    ]
    description["ranges"] = _joined(*both)


def _joined(first: Any, second: Any) -> Any:
    """Ranges by name, which may be in groups, that hold those of both."""
    if not isinstance(first, Mapping):
        return [min(*first, *second), max(*first, *second)]
    shared = first.keys() & second.keys()
    return {**first, **second, **{name: _joined(first[name], second[name]) for name in shared}}


def lineage(run: TrainingRun, configuration: ModelConfiguration) -> str:
    """Which bundle a run fine-tunes, what it kept and what it changed, Markdown; empty for a run from the start."""
    parent = run.parent
    if parent is None:
        return ""
    image, classifier = run.configuration.image_autoencoder, run.configuration.classifier
    kept, changed = ["GTV autoencoder", "class limits", "preprocessing", "sampling"], []
    if image.kept:
        kept.insert(0, "image autoencoder")
    else:
        changed.append("decoder of the image autoencoder trained further")
    if not classifier.kept:
        changed.append("survival classifier trained anew")
    elif "classifier" in parent.description:
        kept.append("survival classifier")
    folder = f"diffusion/{configuration.name}"
    stage, loss = run.read(f"{folder}/finished.json"), run.read(f"{folder}/{BEFORE_AND_AFTER}")
    patients = {name: sum(split == name for split in run.split.values()) for name in ("train", "validation")}
    denoiser = (
        f"denoiser trained further on {patients['train']} patients ({len(run.rows('train'))} slices), step "
        f"{stage['selected_step']} of {stage['planned_steps']} chosen on {patients['validation']} others"
    )
    return (
        f"**Fine-tuned from {parent.name} {parent.version}** (SHA-256 of its bundle.json: {parent.sha256}). "
        f"Kept: {', '.join(kept)}. Changed: {'; '.join([denoiser, *changed])}. "
        f"Loss of the denoiser on the validation patients: {loss['before']:.4g} before, {loss['after']:.4g} after. "
        f"{'' if loss['after'] < loss['before'] else NO_GAIN}Figures on the card of that bundle are not of this one."
    )
