"""A run folder: which configuration, which slices, which files. Everything that all stages of a training share."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import ensure_output_folder, make_folder, write_json, write_text
from GBMResponseCore.model.bundle import Bundle, open_bundle
from GBMResponseCore.model.classes import ClassScheme

from ..engine.checkpoints import PHASES, SNAPSHOT, check_start, has_begun
from ..engine.machine import Machine
from ..items.class_labels import class_schemes
from ..items.fingerprints import content_sha256, store_sha256
from ..items.processes import is_first, wait_for
from ..settings.configuration import Configuration
from ..settings.networks import Autoencoder, ConfigurationError
from ..settings.reader import load_configuration
from ..store.slice_store import SINGLE_IMAGES, SliceStore, open_store, read_patients
from ..store.splits import SPLIT_FILE, STORE_FILE, SplitError, read_split, split_store, write_split

PARENT = "parent"
"""Folder of a run, and name of a phase: the bundle that is fine-tuned, and the weights that come from it."""


@dataclass(frozen=True)
class StagePhase:
    """One part of a network's training.

    :param folder: of its checkpoints.
    :param configuration: the run's, as this part has it.
    :param start: folder of the finished stage whose weights it starts from; None: new weights.
    """

    folder: Path
    configuration: Configuration
    start: Path | None

    @property
    def initial_weights(self) -> Path | None:
        """Where a part that has not begun takes its weights from."""
        return None if has_begun(self.folder) else self.start


class TrainingRun:
    """One experiment: a configuration applied to a slice store, in a folder that holds all that comes of it.

    :param folder: created, or continued if it holds a run of the same configuration and store.
    :param store_folder: a slice store; its split is made if there is none, and copied.
    :param extra_image_folders: slice stores all of whose pre and post slices the image autoencoder learns too, whatever
        their split: real scans of few patients, say. Other networks never see them. A known run needs not name them.
    :raises OptionError: the folder holds another run.
    :raises ConfigurationError: the configuration does not fit the size of the slices.
    :raises SplitError, LeakageError, MissingFileError: by the store, if it has changed, or has no training patient.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Configuration,
        store_folder: Path,
        machine: Machine | None = None,
        extra_image_folders: Sequence[Path] = (),
    ) -> None:
        self.folder = folder
        self.configuration = configuration
        self.store_folder = store_folder
        self.machine = machine or Machine()
        self.extra_image_folders = list(extra_image_folders) or _known_extra_images(folder)
        self.patients = read_patients(store_folder)
        self.split = split_store(store_folder, self.patients)
        self._check_sizes()
        self._check_starts()
        self._claim()

    @classmethod
    def reopen(cls, folder: Path, machine: Machine | None = None) -> "TrainingRun":
        """Open the run of a folder.

        :raises OptionError: it holds none.
        """
        if not (folder / STORE_FILE).is_file():
            raise OptionError(
                f"The folder {folder} holds no training run.", "Name a run folder, or --store for a new run."
            )
        store = json.loads((folder / STORE_FILE).read_text(encoding="utf-8"))["store"]
        return cls(folder, load_configuration(folder / SNAPSHOT), Path(store), machine)

    @cached_property
    def store(self) -> SliceStore:
        return open_store(self.store_folder)

    @cached_property
    def parent(self) -> Bundle | None:
        """The bundle that this run fine-tunes, in the copy that the run keeps; None for a run from the start."""
        folder = self.folder / PARENT
        return open_bundle(folder) if folder.is_dir() else None

    @cached_property
    def extra_images(self) -> list[SliceStore]:
        """Stores that the image autoencoder learns too."""
        return [open_store(folder) for folder in self.extra_image_folders]

    @property
    def image_size(self) -> int:
        """Side of the slices."""
        return self.store.pre.shape[-1]

    @property
    def latent_size(self) -> int:
        return self.image_size // self.configuration.image_autoencoder.downsampling

    @property
    def device(self) -> torch.device:
        """Where networks run outside Lightning."""
        return torch.device("cuda" if self.machine.on_gpu else "cpu")

    def rows(self, split: str, usable: Callable[[dict[str, Any]], bool] | None = None) -> np.ndarray:
        """Slices (n,) of the patients of `train`, `validation` or `test`, optionally of some of them."""
        chosen = [self.split[record["id"]] == split and (usable is None or usable(record)) for record in self.patients]
        return np.flatnonzero(np.array(chosen)[np.asarray(self.store.patient)])

    @cached_property
    def made_from(self) -> dict[str, str]:
        """SHA-256 of what every stage of the run is made from."""
        return {"store": store_sha256(self.store), "split": content_sha256(self.split)}

    def phases(self, network: str, folder: Path) -> list["StagePhase"]:
        """The parts of a network's training that are left to do, each of which starts from the one before.

        :param network: section of the configuration.
        :param folder: of the stage; earlier parts lie below it.
        """
        parts: list[StagePhase] = []
        for name, configuration in self.configuration.phases_of(network):
            place = folder if name is None else folder / PHASES / name
            start = parts[-1].folder if parts else getattr(configuration, network).start
            parts.append(StagePhase(place, configuration, None if start is None else Path(start)))
        # What is before a part that has begun is not needed any more, and may have been removed to save space.
        begun = [place for place, part in enumerate(parts) if has_begun(part.folder)]
        return parts[begun[-1] :] if begun else parts

    def schemes(self, names: tuple[str, ...]) -> dict[str, ClassScheme]:
        """Class schemes with thresholds from the training patients; in fine-tuning, those of the parent."""
        known = {} if self.parent is None else self.parent.schemes
        if all(name in known for name in names):
            return {name: known[name] for name in names}
        return class_schemes(names, self.patients, self.split)

    def read(self, name: str) -> Any:
        """Content of a JSON file of the run."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def once(self, name: str, make: Callable[[], Any], made_from: str | None = None) -> Any:
        """Content of a JSON file of the run, made by the first process if it is not there yet.

        :param made_from: SHA-256 of what the content, an object, comes from: it is made again when that has changed.
        """
        path = self.folder / name

        def current() -> bool:
            return path.is_file() and (made_from is None or self.read(name).get("made_from") == made_from)

        if not current() and is_first():
            make_folder(path.parent)
            write_json(make() if made_from is None else make() | {"made_from": made_from}, path)
        wait_for(current)
        return self.read(name)

    def _check_sizes(self) -> None:
        if "train" not in self.split.values():
            raise SplitError("The split of the slice store has no training patient.")
        if any(record.get(SINGLE_IMAGES) for record in self.patients):
            raise ConfigurationError(
                f"The slice store {self.store_folder.name} holds images without a follow-up.",
                "Name it with --extra-images, beside a --store of pairs.",
            )
        settings, size = self.configuration, self.image_size
        sections = ("image_autoencoder", "gtv_autoencoder", "classifier")
        if self.parent is None and any(getattr(settings, name).kept for name in sections):
            raise ConfigurationError("Only fine-tuning can keep a network.", "Use `gbmresponse-train finetune`.")
        for part in ("image_autoencoder", "gtv_autoencoder"):
            for _, phase in settings.phases_of(part):
                _check_crop(part, getattr(phase, part), size)
        for other in self.extra_image_folders:
            read_patients(other)
            if open_store(other).pre.shape[1:] != self.store.pre.shape[1:]:
                raise ConfigurationError(
                    f"The slices of the extra store {other.name} differ in size from those of the run.",
                    f"Import both with --size {size}.",
                )
        if settings.classifier.pooling > size:
            raise ConfigurationError(f"classifier.pooling is larger than the slices of {size} x {size} pixels.")

    def _check_starts(self) -> None:
        """Weights that an autoencoder starts from must be there, until it has begun."""
        for part in ("image_autoencoder", "gtv_autoencoder"):
            self.check_start(part, self.folder / part)

    def check_start(self, network: str, folder: Path) -> None:
        """:raises ConfigurationError: a stage has not begun, and the weights that it should start from are missing."""
        first = self.phases(network, folder)[0]
        check_start(first.start, first.folder, str(folder.relative_to(self.folder)))

    def _claim(self) -> None:
        import yaml

        ensure_output_folder(self.folder)
        values = self.configuration.to_dict()
        snapshot, store = self.folder / SNAPSHOT, str(self.store_folder.resolve())
        if snapshot.is_file():
            known = load_configuration(snapshot).to_dict()
            different = _differences(known, values)
            if different:
                names = ", ".join(different[:5])
                raise OptionError(
                    f"The folder {self.folder} holds a run of another configuration: {names} differ.",
                    "Choose another --run, or leave out --preset, --config and --set to continue that run.",
                )
            if self.read(STORE_FILE)["store"] != store:
                raise OptionError(
                    f"The folder {self.folder} holds a run on another slice store.", "Choose another --run."
                )
            if _known_extra_images(self.folder) != _resolved(self.extra_image_folders):
                raise OptionError(
                    f"The folder {self.folder} holds a run with other extra images.",
                    "Choose another --run, or leave out --extra-images to continue that run.",
                )
            self._check_unchanged()
            return
        content = {"store": store, "patients_sha256": self._patients_sha256()}
        extra = [str(path) for path in _resolved(self.extra_image_folders)]
        write_json(content | {"extra_images": extra}, self.folder / STORE_FILE)
        write_split(self.split, self.folder / SPLIT_FILE)
        write_text(yaml.safe_dump(values, sort_keys=False), snapshot)

    def _patients_sha256(self) -> str:
        return content_sha256(self.patients)

    def _check_unchanged(self) -> None:
        """Networks of one run must have been trained on the same patients."""
        began_with = self.read(STORE_FILE).get("patients_sha256")
        split = dict(read_split(self.folder / SPLIT_FILE))
        if split != self.split or began_with not in (None, self._patients_sha256()):
            raise SplitError(
                f"The slice store {self.store_folder.name} or its split has changed since the run {self.folder} began.",
                "Restore the store and its patient_split.csv, or choose another --run.",
            )


def _check_crop(part: str, autoencoder: Autoencoder, size: int) -> None:
    """:raises ConfigurationError: slices of this side, or crops of them, cannot be halved at every level."""
    side = autoencoder.crop or size
    if side > size or side % autoencoder.downsampling or size % autoencoder.downsampling:
        crops = f"crops of {side}" if autoencoder.crop else "no crops"
        raise ConfigurationError(
            f"Slices of {size} x {size} pixels do not fit {part} with {crops}.",
            f"Sides must be multiples of {autoencoder.downsampling}, and {part}.crop at most {size}.",
        )


def _known_extra_images(folder: Path) -> list[Path]:
    """Extra stores of the run in a folder; none if there is no run."""
    if not (folder / STORE_FILE).is_file():
        return []
    stated = json.loads((folder / STORE_FILE).read_text(encoding="utf-8"))
    return [Path(path) for path in stated.get("extra_images", [])]


def _resolved(folders: Sequence[Path]) -> list[Path]:
    return [folder.resolve() for folder in folders]


def _differences(first: Any, second: Any, where: str = "") -> list[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        keys = sorted(first.keys() | second.keys())
        return [
            entry
            for key in keys
            for entry in _differences(first.get(key), second.get(key), f"{where}.{key}" if where else str(key))
        ]
    return [] if first == second else [where]
