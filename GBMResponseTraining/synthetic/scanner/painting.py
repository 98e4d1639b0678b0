"""Paints a lesion onto a picture of a healthy, enhanced head. Levels are relative to white matter, chosen by eye."""

from __future__ import annotations

import numpy as np

from ..fields import smooth_step
from ..tumor.lesion import Lesion
from .appearance import LESION_SCALES_MM, Look, Textures


class LesionPainter:
    """Oedema, scar, enhancing tumor, radiation necrosis and cavity of one visit."""

    def __init__(self, lesion: Lesion, textures: Textures, look: Look) -> None:
        self.lesion, self.textures, self.look = lesion, textures, look
        inside = lesion.grid.points()[lesion.cavity_depth > 0]
        self._sediment_level_mm = float(np.quantile(inside[:, 1], 0.3)) if len(inside) else 0.0

    def paint(
        self, image: np.ndarray, subject: np.ndarray, depth: np.ndarray, csf: np.ndarray, ventricles: np.ndarray
    ) -> np.ndarray:
        """`image` (rows, columns) with the lesion.

        `subject` are the undisplaced world points (rows, columns, 3) of its pixels, `depth` the mm below the brain
        surface, `csf` and `ventricles` fluid maps 0-1, all of the same window.
        """
        lesion, look = self.lesion, self.look
        texture = {name: self.textures.sample(name, subject) for name in LESION_SCALES_MM}
        field = lesion.grid.sample
        tumor_depth = field(lesion.tumor_depth, subject, -50.0)
        oedema = field(lesion.oedema, subject)
        inside_brain = smooth_step(depth, -1.0, 1.0)

        swelling = oedema * (0.85 + 0.15 * np.clip(texture["broad"], -1, 1)) * smooth_step(image, 0.35, 0.7)
        image = image * (1 - look.oedema * swelling * inside_brain)
        if look.radiation_change:
            image = image * (1 - look.radiation_change * field(lesion.treated, subject) * inside_brain)
        if lesion.scar.any():
            image = self._scar(image, field(lesion.scar, subject), texture, inside_brain)
        image = self._tumor(image, tumor_depth, texture, inside_brain * (1 - 0.7 * ventricles))
        if lesion.pseudoprogression:
            image = self._radiation_necrosis(image, field(lesion.treated, subject), texture, inside_brain * (1 - csf))
        if lesion.has_cavity:
            cavity_depth = field(lesion.cavity_depth, subject, -50.0)
            image = self._cavity(image, cavity_depth, tumor_depth, texture, subject, depth)
        return image

    def _tumor(
        self, image: np.ndarray, depth: np.ndarray, texture: dict[str, np.ndarray], allowed: np.ndarray
    ) -> np.ndarray:
        """Ragged enhancing ring of varying thickness around a necrotic core crossed by strands."""
        look = self.look
        ragged = depth + 0.7 * texture["medium"] + 0.45 * texture["fine"]
        present = smooth_step(ragged, -0.8, 0.8) * allowed
        thickness = look.ring_thickness_mm * np.exp(0.5 * texture["coarse"] + 0.35 * texture["medium"])
        inner = ragged + 0.7 * texture["medium"] + 0.4 * texture["fine"]
        core = smooth_step(inner, thickness, thickness + 1.6)
        vigour = 0.58 + 0.28 * texture["coarse"] + 0.26 * texture["medium"] + 0.2 * texture["fine"]
        ring = 0.9 + (look.enhancement - 0.9) * np.clip(vigour, 0.0, 1.4)
        strands = np.exp(-(((texture["strands"] + 0.5 * texture["medium"]) / 0.3) ** 2))
        strands *= smooth_step(texture["coarse"] + 0.7 * texture["broad"], -0.3, 1.4)
        necrosis = look.necrosis_level + 0.07 * texture["coarse"] + 0.05 * texture["medium"] + 0.03 * texture["fine"]
        necrosis = necrosis + 0.5 * strands * (ring - necrosis)
        solid = ring * (1 - core) + necrosis * core
        return image * (1 - present) + present * solid

    def _scar(
        self, image: np.ndarray, scar: np.ndarray, texture: dict[str, np.ndarray], allowed: np.ndarray
    ) -> np.ndarray:
        """Killed tumor: dark gliosis with a faint, broken enhancing edge."""
        amount = smooth_step(scar + 0.06 * texture["coarse"], 0.2, 0.6) * allowed
        level = 0.62 + 0.05 * texture["coarse"] + 0.03 * texture["medium"]
        image = image * (1 - 0.85 * amount) + 0.85 * amount * level
        edge = np.exp(-(((scar + 0.06 * texture["medium"] - 0.42) / 0.10) ** 2))
        edge *= smooth_step(texture["coarse"] + 0.4 * texture["medium"], -0.2, 1.2) * allowed
        return image * (1 - 0.6 * edge) + 0.6 * edge * (0.9 * self.look.enhancement)

    def _radiation_necrosis(
        self, image: np.ndarray, treated: np.ndarray, texture: dict[str, np.ndarray], allowed: np.ndarray
    ) -> np.ndarray:
        """Wispy 'soap bubble' enhancement of pseudoprogression."""
        wisps = np.exp(-((texture["strands"] / 0.35) ** 2)) * smooth_step(texture["coarse"], -0.2, 0.9)
        amount = np.clip(smooth_step(treated, 0.6, 1.0) * wisps * self.lesion.pseudoprogression, 0, 1) * allowed
        return image * (1 - 0.75 * amount) + 0.75 * amount * self.look.enhancement * 0.9

    def _cavity(
        self,
        image: np.ndarray,
        cavity_depth: np.ndarray,
        tumor_depth: np.ndarray,
        texture: dict[str, np.ndarray],
        subject: np.ndarray,
        depth: np.ndarray,
    ) -> np.ndarray:
        """Fluid with debris behind a ragged wall, thinly and patchily enhancing; blood layers posteriorly."""
        look = self.look
        ragged = cavity_depth + 1.2 * texture["coarse"] + 0.85 * texture["medium"] + 0.4 * texture["fine"]
        patches = smooth_step(texture["broad"] + 0.6 * texture["coarse"], -0.3, 1.0)
        near_tumor = smooth_step(tumor_depth, -4.0, -0.5)
        thickness = look.wall_thickness_mm * np.exp(0.35 * texture["coarse"] + 0.25 * texture["medium"])
        wall = np.exp(-(((ragged + 0.6 * thickness) / thickness) ** 2)) * smooth_step(depth, 0.5, 3.0)
        wall *= np.clip(0.15 + 0.6 * patches + 0.45 * near_tumor, 0, 0.95)
        image = image * (1 - wall) + wall * look.enhancement * (0.9 + 0.1 * texture["medium"] + 0.08 * texture["fine"])
        level = look.cavity_level * (1 + 0.05 * texture["broad"])
        debris = smooth_step(texture["coarse"] + 0.5 * texture["medium"], 0.9, 2.0) * (
            1 - smooth_step(ragged, 3.0, 8.0)
        )
        level = level + 0.3 * debris + 0.05 * texture["coarse"] + 0.03 * texture["medium"]
        if look.blood > 0:
            below = self._sediment_level_mm - subject[..., 1]
            sediment = smooth_step(below + 0.8 * texture["coarse"], -1.5, 1.5)
            level = level + look.blood * (0.6 * sediment + 0.35 * np.exp(-(((ragged - 1.5) / 1.2) ** 2)) * patches)
        amount = smooth_step(ragged, -0.4, 0.9)
        return image * (1 - amount) + amount * level
