"""Make the bundle that ships with the extension: simulate, train, export, in stages that continue after a kill.

A run folder holds `recipe.json`, one folder per stage and finally `bundle/`. Each stage finds its finished work and
goes on from there, so the same command is simply started again. A file `notes.md` that the user puts there becomes a
section of the model card.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from GBMResponseCore.bundle import open_bundle
from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import write_json, write_text
from GBMResponseCore.geometry import InPlaneRule
from GBMResponseCore.intensity import NormalisationSettings
from GBMResponseCore.networks import LatentCodec
from GBMResponseCore.survival import ClassScheme
from torch import nn

from .autoencoder import AutoencoderModule, latent_statistics
from .calibration import fit_temperature, held_out_patients, patient_logits
from .classifier import ClassifierModule
from .diffusion import DiffusionModule
from .engine import fit
from .evaluation import evaluate
from .export import export_bundle, write_description
from .items import classifier_items, gtv_crops, image_crops, latent_items
from .latents import change_scale, encode_store, gtv_at_latent_size
from .model_card import model_card
from .real_slices import load_real_slices
from .recipes import CLASS_NAMES, CLASS_QUANTILES, TOKEN_COUNT, Recipe
from .simulation import simulate_cohort
from .slice_store import SliceStore, open_store
from .synthetic import SimulationSettings

log = logging.getLogger(__name__)

DOWNSAMPLING = 4
_STATISTICS_SLICES = 256
_CALIBRATION_EVERY = 6
_TEST_SEEDS_FROM = 1_000_000


class DemoBundleRun:
    """One run of a recipe.

    :param folder: run folder, created or continued.
    :param anatomy_folder: prepared anatomies, `<name>.npz`.
    :param real_folder: real cases `<case>/{pre,post}_t1gd.nii.gz` for the image autoencoder; None without any.
    :param processes: processes of the simulation; None takes one per core.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        anatomy_folder: Path,
        real_folder: Path | None,
        processes: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.anatomy_folder = anatomy_folder
        self.real_folder = real_folder
        self.processes = processes
        self.rule = InPlaneRule()
        self.normalisation = NormalisationSettings()
        self._check_inputs()
        self._claim_folder()

    def run(self) -> Path:
        """Run all stages that are not finished; return the bundle's folder."""
        torch.manual_seed(self.recipe.seed)
        torch.set_flush_denormal(True)  # denormal numbers slow a CPU down
        train = self.cohort("train")
        test = self.cohort("test")
        schemes = class_schemes(train)
        image_codec = self.image_codec(train)
        gtv_codec = self.gtv_codec(train)
        classifier = self.classifier(train, schemes["4-class"])
        denoiser = self.denoiser(train, schemes, image_codec, gtv_codec)
        log.info("Export")
        bundle = self.folder / "bundle"
        self._export(bundle, schemes, image_codec, gtv_codec, classifier, denoiser)
        self._describe(bundle, self.evaluation(bundle, test))
        return bundle

    def cohort(self, split: str) -> SliceStore:
        """Simulated patients of `train` or of `test`, whose anatomies do not occur in training."""
        folder = self.folder / f"cohort_{split}"
        anatomies = self.recipe.train_anatomies if split == "train" else self.recipe.test_anatomies
        count = self.recipe.train_patients if split == "train" else self.recipe.test_patients
        first = 0 if split == "train" else _TEST_SEEDS_FROM
        settings = SimulationSettings(
            anatomies=tuple(anatomies), anatomy_weights=tuple(anatomies.values()), slices=self.recipe.slices
        )
        log.info("Cohort %s: %d simulated patients", split, count)
        seeds = range(first, first + count)
        simulate_cohort(folder, self.anatomy_folder, settings, self.normalisation, seeds, self.processes)
        return open_store(folder)

    def image_codec(self, store: SliceStore) -> LatentCodec:
        """Train the image VQ-VAE on simulated pre and post slices and on the real training slices."""
        recipe = self.recipe
        log.info("Image VQ-VAE: %d steps", recipe.image_training.steps)
        sources: list[np.ndarray] = [store.pre, store.post]
        shares = [0.5, 0.5]
        if self.real_folder is not None and recipe.real_training_cases:
            real = load_real_slices(self.real_folder, recipe.real_training_cases, self.rule, self.normalisation)
            sources.append(real)
            shares = [0.5 * (1 - recipe.real_share)] * 2 + [recipe.real_share]
        module = self._train_autoencoder("image_autoencoder", image_crops(sources, shares, recipe.crop))
        chosen = np.linspace(0, len(store) - 1, min(_STATISTICS_SLICES, len(store))).astype(int)
        slices = np.stack([array[k] for k in chosen for array in (store.pre, store.post)]).astype(np.float32)
        return self._codec("image_autoencoder", module.model, torch.from_numpy(slices)[:, None])

    def gtv_codec(self, store: SliceStore) -> LatentCodec:
        """Train the GTV VQ-VAE on simulated contours."""
        log.info("GTV VQ-VAE: %d steps", self.recipe.gtv_training.steps)
        module = self._train_autoencoder("gtv_autoencoder", gtv_crops(store.gtv, self.recipe.crop))
        masks = store.gtv[:: max(1, len(store) // _STATISTICS_SLICES)].astype(np.float32)
        return self._codec("gtv_autoencoder", module.model, torch.from_numpy(masks)[:, None])

    def classifier(self, store: SliceStore, scheme: ClassScheme) -> nn.Module:
        """Train the survival classifier on most patients and calibrate it on the others."""
        training = self.recipe.classifier_training
        log.info("Survival classifier: %d steps", training.steps)
        module = ClassifierModule(self.recipe.classifier, training.steps, training.learning_rate)
        pooling = self.recipe.classifier_pooling
        held_out = held_out_patients(store, _CALIBRATION_EVERY)
        self._fit(module, classifier_items(store, scheme, pooling, held_out), "classifier", training)
        classifier = module.model.eval()
        path = self.folder / "classifier" / "temperature.json"
        if not path.is_file():
            logits, labels = patient_logits(classifier, store, scheme, held_out, pooling)
            write_json({"temperature": round(fit_temperature(logits, labels), 3), "patients": len(labels)}, path)
        return classifier

    def denoiser(
        self, store: SliceStore, schemes: dict[str, ClassScheme], image_codec: LatentCodec, gtv_codec: LatentCodec
    ) -> nn.Module:
        """Train the latent diffusion model; return the averaged weights."""
        recipe, training = self.recipe, self.recipe.diffusion_training
        latents = encode_store(store, self.folder / "latents", image_codec, gtv_codec)
        tokens = np.array(
            [[scheme.of_survival(days).token for scheme in schemes.values()] for days in store.survival_days]
        )
        log.info("Latent diffusion model: %d steps", training.steps)
        module = DiffusionModule(
            recipe.unet,
            recipe.fold,
            recipe.noise_schedule,
            null_token=TOKEN_COUNT - 1,
            label_dropout=recipe.label_dropout,
            gtv_weight=recipe.gtv_weight,
            steps=training.steps,
            learning_rate=training.learning_rate,
            ema_decay=recipe.ema_decay,
            seed=recipe.seed,
        )
        path = self.folder / "denoiser" / "target.json"
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            write_json({"change_scale": change_scale(latents["pre"], latents["post"]).tolist()}, path)
        scale = np.array(self._read("denoiser/target.json")["change_scale"]) if recipe.predict_change else None
        items = latent_items(latents, gtv_at_latent_size(store.gtv, DOWNSAMPLING), tokens, scale)
        self._fit(module, items, "denoiser", training)
        return module.ema.eval()

    def evaluation(self, bundle: Path, test: SliceStore) -> dict[str, Any]:
        """Held-out figures of this bundle's weights, kept in `evaluation.json`."""
        path = self.folder / "evaluation.json"
        opened = open_bundle(bundle)
        weights = {name: entry["sha256"] for name, entry in opened.description["files"].items()}
        if path.is_file():
            report = json.loads(path.read_text(encoding="utf-8"))
            if report["weights"] == weights:
                return report
        log.info("Evaluation")
        report = evaluate(opened, test, self.real_folder, self.recipe.real_test_cases)
        write_json({**report, "weights": weights}, path)
        return report

    def _describe(self, bundle: Path, evaluation: dict[str, Any]) -> None:
        """Add figures and model card to an exported bundle."""
        description = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
        del description["schema_version"], description["files"]
        description["metrics"] = {name: evaluation[name] for name in ("simulated", "real") if name in evaluation}
        notes = self.folder / "notes.md"
        about_run = notes.read_text(encoding="utf-8") if notes.is_file() else ""
        write_text(model_card(description, asdict(self.recipe), evaluation, about_run), bundle / "MODEL_CARD.md")
        write_description(bundle, description)

    def _train_autoencoder(self, part: str, items: object) -> AutoencoderModule:
        image = part == "image_autoencoder"
        config = self.recipe.image_autoencoder if image else self.recipe.gtv_autoencoder
        training = self.recipe.image_training if image else self.recipe.gtv_training
        quantize_from = int(self.recipe.quantize_after * training.steps)
        module = AutoencoderModule(config, training.steps, quantize_from, training.learning_rate)
        self._fit(module, items, part, training)
        return module

    def _codec(self, part: str, model: nn.Module, images: torch.Tensor) -> LatentCodec:
        path = self.folder / part / "standardisation.json"
        if not path.is_file():
            shift, scale = latent_statistics(model.eval(), images)
            write_json({"shift": shift, "scale": scale}, path)
        return LatentCodec(model.eval(), **self._read(f"{part}/standardisation.json"))

    def _fit(self, module: object, items: object, part: str, training: object) -> None:
        fit(
            module,
            items,
            self.folder / part,
            steps=training.steps,
            batch_size=training.batch_size,
            seed=self.recipe.seed,
        )
        module.cpu()

    def _export(
        self,
        bundle: Path,
        schemes: dict[str, ClassScheme],
        image_codec: LatentCodec,
        gtv_codec: LatentCodec,
        classifier: nn.Module,
        denoiser: nn.Module,
    ) -> None:
        recipe = self.recipe
        networks = {
            "image_autoencoder": (image_codec.model, recipe.image_autoencoder),
            "gtv_autoencoder": (gtv_codec.model, recipe.gtv_autoencoder),
            "denoiser": (denoiser.unet, recipe.unet),
            "classifier": (classifier, recipe.classifier),
        }
        standardisation = {name: self._read(f"{name}_autoencoder/standardisation.json") for name in ("image", "gtv")}
        latents = {"channels": 4, "downsampling": DOWNSAMPLING, "fold": recipe.fold, "requantize": False}
        if recipe.predict_change:
            latents |= self._read("denoiser/target.json")
        description = {
            "name": recipe.name,
            "version": recipe.version,
            "license": "Apache-2.0; see NOTICE for the training data",
            "description": "Small demonstration models, trained on simulated patients.",
            "intended_use": "Research and software demonstration only; not for clinical decisions.",
            "preprocessing": {"in_plane": self.rule.to_dict(), "intensity": self.normalisation.to_dict()},
            "latents": {**latents, **standardisation},
            "sources": ["pre", "gtv"],
            "conditioning": {
                "label_dropout": recipe.label_dropout,
                "null_token": TOKEN_COUNT - 1,
                "schemes": {name: scheme.to_list() for name, scheme in schemes.items()},
            },
            "classifier": {
                "scheme": "4-class",
                "pooling": recipe.classifier_pooling,
                "temperature": self._read("classifier/temperature.json")["temperature"],
            },
            "sampling": recipe.sampling,
            "neighbour_slices": 0,
            "training_data": self._training_data(),
            "ranges": {},
            "metrics": {},
        }
        export_bundle(bundle, networks, recipe.noise_schedule, description, {})

    def _read(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def _training_data(self) -> str:
        anatomies = ", ".join(self.recipe.train_anatomies)
        text = f"{self.recipe.train_patients} simulated patients on the anatomies {anatomies}"
        if self.real_folder is not None and self.recipe.real_training_cases:
            cases = ", ".join(self.recipe.real_training_cases)
            text += f"; image autoencoder also on real T1-Gd of Brain-Tumor-Progression cases {cases} (CC BY 3.0)"
        return text + "."

    def _check_inputs(self) -> None:
        needed: Sequence[Path] = [
            self.anatomy_folder / f"{name}.npz"
            for name in {**self.recipe.train_anatomies, **self.recipe.test_anatomies}
        ]
        if self.real_folder is not None:
            needed = [
                *needed,
                *(self.real_folder / case / "pre_t1gd.nii.gz" for case in self.recipe.real_training_cases),
            ]
        missing = [str(path) for path in needed if not path.is_file()]
        if missing:
            raise OptionError(f"Missing training input: {', '.join(missing)}.", "Check --anatomies and --real.")

    def _claim_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "recipe.json"
        wanted = json.loads(json.dumps({**asdict(self.recipe), "real": self.real_folder is not None}))
        if not path.is_file():
            write_json(wanted, path)
        elif json.loads(path.read_text(encoding="utf-8")) != wanted:
            raise OptionError(
                f"The folder {self.folder} holds a run of another recipe.", "Choose another --out, or delete it."
            )


def class_schemes(store: SliceStore) -> dict[str, ClassScheme]:
    """Schemes of the paper: quantiles of the training patients' survival (median; quartiles)."""
    days = [record["survival_days"] for record in store.patients]
    schemes, token = {}, 0
    for name, names in CLASS_NAMES.items():
        thresholds = [round(float(q), 1) for q in np.quantile(days, CLASS_QUANTILES[name])]
        schemes[name] = ClassScheme.from_thresholds(name, names, thresholds, token)
        token += len(names)
    return schemes
