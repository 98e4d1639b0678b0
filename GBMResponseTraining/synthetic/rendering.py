"""T1-Gd pictures of a simulated head: tissue, gadolinium, tumour, cavity, then what the scanner does to them.

Intensities are relative to white matter (about 1). Planes are [row, column] with row 0 anterior and column 0 on the
patient's right. Every texture is a 3-D field, so neighbouring slices agree. Levels are plausible by eye.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .anatomy import Anatomy, SubjectShape
from .biology import Host
from .fields import Grid, signed_distance, smooth_noise, smooth_step
from .growth import VISIBLE_DENSITY
from .mass_effect import MassEffect
from .treatment import Course

COARSE_STEP_PIXELS = 4
FLUID_LEVEL = 0.30


@dataclass(frozen=True)
class AcquisitionStyle:
    """How one patient is scanned: contrast and slice profile shared by both visits."""

    name: str
    slice_thickness_mm: float
    sub_slices: int
    grey_white_compression: float
    scalp_gain: float
    blur_pixels: float
    noise: float

    def plane_offsets_mm(self) -> np.ndarray:
        """Superior-inferior offsets of the sub-slices averaged into one slice."""
        if self.sub_slices == 1:
            return np.zeros(1)
        fractions = (np.arange(self.sub_slices) + 0.5) / self.sub_slices - 0.5
        return fractions * self.slice_thickness_mm


def draw_style(generator: np.random.Generator, spin_echo_probability: float) -> AcquisitionStyle:
    """`mprage`: thin slices, strong grey-white contrast. `spin_echo`: thick, flat contrast, bright fat."""
    if generator.random() < spin_echo_probability:
        return AcquisitionStyle(
            name="spin_echo",
            slice_thickness_mm=float(generator.uniform(3, 6)),
            sub_slices=3,
            grey_white_compression=float(generator.uniform(0.45, 0.8)),
            scalp_gain=float(generator.uniform(1.35, 1.9)),
            blur_pixels=float(generator.uniform(0.4, 0.65)),
            noise=float(generator.uniform(0.010, 0.024)),
        )
    return AcquisitionStyle(
        name="mprage",
        slice_thickness_mm=float(generator.uniform(1.0, 1.6)),
        sub_slices=2,
        grey_white_compression=float(generator.uniform(-0.1, 0.25)),
        scalp_gain=float(generator.uniform(0.9, 1.2)),
        blur_pixels=float(generator.uniform(0.4, 0.7)),
        noise=float(generator.uniform(0.014, 0.030)),
    )


@dataclass(frozen=True)
class Look:
    """Appearance of one patient's lesion and vessels."""

    enhancement: float
    ring_thickness_mm: float
    necrosis_level: float
    oedema: float
    cavity_level: float
    blood: float
    vessels: float
    dura: float
    radiation_change: float = 0.0


def draw_look(generator: np.random.Generator) -> Look:
    return Look(
        enhancement=float(generator.uniform(1.2, 1.6)),
        ring_thickness_mm=float(generator.uniform(1.6, 3.8)),
        necrosis_level=float(generator.uniform(0.42, 0.62)),
        oedema=float(generator.uniform(0.14, 0.30)),
        cavity_level=float(generator.uniform(0.26, 0.42)),
        blood=float((generator.random() < 0.35) * generator.uniform(0.4, 1.0)),
        vessels=float(generator.uniform(0.5, 1.0)),
        dura=float(generator.uniform(0.15, 0.45)),
    )


def follow_up_look(generator: np.random.Generator, look: Look) -> Look:
    """The same lesion months later: blood mostly gone, radiated white matter a little darker."""
    return replace(
        look,
        enhancement=look.enhancement * float(generator.uniform(0.93, 1.07)),
        ring_thickness_mm=look.ring_thickness_mm * float(generator.uniform(0.85, 1.15)),
        cavity_level=look.cavity_level * float(generator.uniform(0.85, 1.0)),
        blood=look.blood * 0.3 * float(generator.random() < 0.25),
        vessels=look.vessels * float(generator.uniform(0.85, 1.15)),
        dura=look.dura * float(generator.uniform(0.7, 1.1)),
        radiation_change=float(generator.uniform(0.0, 0.08)),
    )


class Textures:
    """Unit-variance 3-D noise around the tumour at several scales, plus two head-wide fields that trace vessels."""

    SCALES_MM = {"fine": 1.1, "medium": 2.4, "coarse": 5.5, "broad": 11.0, "strands": 3.0}

    def __init__(self, generator: np.random.Generator, lesion_grid: Grid, head_grid: Grid) -> None:
        self._fields: dict[str, tuple[Grid, np.ndarray]] = {}
        extent = lesion_grid.spacing_mm * (lesion_grid.shape[0] - 1)
        for name, scale in self.SCALES_MM.items():
            spacing = max(1.0, scale / 2.2)
            count = int(extent / spacing) + 1
            grid = Grid(lesion_grid.origin, spacing, (count, count, count))
            self._fields[name] = (grid, smooth_noise(generator, grid, scale))
        for name in ("vessel_a", "vessel_b"):
            self._fields[name] = (head_grid, smooth_noise(generator, head_grid, 6.5))

    def evolved(self, generator: np.random.Generator) -> Textures:
        """Textures of a later visit: correlated 0.75 with these; vessels stay."""
        later = object.__new__(Textures)
        later._fields = dict(self._fields)
        for name, scale in self.SCALES_MM.items():
            grid, field = self._fields[name]
            later._fields[name] = (grid, 0.75 * field + 0.66 * smooth_noise(generator, grid, scale))
        return later

    def sample(self, name: str, points: np.ndarray) -> np.ndarray:
        grid, field = self._fields[name]
        return grid.sample(field, points)


@dataclass(frozen=True)
class Lesion:
    """Everything abnormal at one visit, on the host's 2 mm grid. Depths are mm, positive inside."""

    grid: Grid
    tumour_depth: np.ndarray
    density: np.ndarray
    oedema: np.ndarray
    cavity_depth: np.ndarray
    scar: np.ndarray
    treated: np.ndarray
    pseudoprogression: float
    entry_point: np.ndarray | None
    flap_radius_mm: float
    has_cavity: bool


def lesion_at_visit(host: Host, course: Course, visit: str) -> Lesion:
    """Lesion at visit `pre` or `post`."""
    later = visit == "post"
    density = course.density_post if later else course.density_pre
    cavity = course.cavity_post if later else course.cavity_pre
    spacing = host.grid.spacing_mm
    infiltrated = smooth_step(density, 0.04, 0.35)
    was_infiltrated = smooth_step(course.density_diagnosis, 0.06, 0.45)
    oedema = np.maximum(infiltrated, (0.35 if later else 0.8) * was_infiltrated) * (0.25 + 0.75 * host.white)
    oedema = ndimage.gaussian_filter(oedema, 0.7) * (1 - host.csf)
    return Lesion(
        grid=host.grid,
        tumour_depth=level_depth(density, VISIBLE_DENSITY, spacing),
        density=density,
        oedema=oedema.astype(np.float32),
        cavity_depth=level_depth(cavity, 0.5, spacing),
        scar=ndimage.gaussian_filter(course.scar, 0.6) if later else np.zeros_like(density),
        treated=smooth_step(course.density_diagnosis, 0.01, 0.25).astype(np.float32),
        pseudoprogression=course.pseudoprogression if later else 0.0,
        entry_point=course.surgery.entry_point,
        flap_radius_mm=course.surgery.flap_radius_mm,
        has_cavity=bool((cavity > 0.5).any()),
    )


def level_depth(field: np.ndarray, level: float, spacing_mm: float) -> np.ndarray:
    """Signed distance (mm) to the surface field = level, with sub-voxel precision near the surface."""
    mask = field > level
    if not mask.any():
        return np.full(field.shape, -50.0, np.float32)
    far = ndimage.gaussian_filter(signed_distance(mask, spacing_mm), 0.5)
    slope = np.sqrt(sum(component**2 for component in np.gradient(ndimage.gaussian_filter(field, 0.6), spacing_mm)))
    near = np.clip((field - level) / (slope + 0.02), -4.0, 4.0)
    weight = smooth_step(np.abs(far), 1.0, 4.0)
    return (near * (1 - weight) + far * weight).astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """In-plane misregistration of a visit: rotation about the field-of-view centre, then a shift (mm)."""

    rotation_degrees: float = 0.0
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class FieldOfView:
    """Axial planes of `size` x `size` pixels centred on world x, y; row 0 anterior, column 0 patient right."""

    size: int
    spacing_mm: float
    centre_x: float
    centre_y: float

    def plane_points(self, height_mm: float, pose: Pose, step: int) -> np.ndarray:
        """World points of every `step`-th pixel of the plane at `height_mm`, one more at the end: (n, n, 3)."""
        count = self.size // step + 1
        offset = ((self.size - 1) / 2 - np.arange(count, dtype=np.float32) * step) * self.spacing_mm
        anterior, right = np.meshgrid(offset, offset, indexing="ij")
        angle = np.deg2rad(pose.rotation_degrees)
        x = self.centre_x + np.cos(angle) * right - np.sin(angle) * anterior + pose.shift_mm[0]
        y = self.centre_y + np.sin(angle) * right + np.cos(angle) * anterior + pose.shift_mm[1]
        z = np.full_like(x, height_mm + pose.shift_mm[2])
        return np.stack([x, y, z], axis=-1).astype(np.float32)


class HeadRenderer:
    """Renders slices of one visit of one subject."""

    def __init__(
        self,
        anatomy: Anatomy,
        shape: SubjectShape,
        view: FieldOfView,
        style: AcquisitionStyle,
        textures: Textures,
        lesion: Lesion,
        mass_effect: MassEffect,
        look: Look,
        pose: Pose,
    ) -> None:
        self.anatomy, self.shape, self.view, self.style = anatomy, shape, view, style
        self.textures, self.lesion, self.mass_effect, self.look, self.pose = textures, lesion, mass_effect, look, pose
        self._upsampling = interpolation_matrix(view.size, COARSE_STEP_PIXELS)
        self._abnormal_low, self._abnormal_high = abnormal_extent(lesion)

    def points(self, height_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Undisplaced subject points and source points of a plane's pixels, each (size, size, 3)."""
        coarse = self.mass_effect.to_subject(self.view.plane_points(height_mm, self.pose, COARSE_STEP_PIXELS))
        return self._refined(coarse), self._refined(self.shape.to_source(coarse))

    def _refined(self, coarse: np.ndarray) -> np.ndarray:
        """Coarse plane points, interpolated to all pixels."""
        weights = self._upsampling
        fine = np.empty((self.view.size, self.view.size, 3), np.float32)
        for axis in range(3):
            fine[..., axis] = weights @ coarse[..., axis] @ weights.T
        return fine

    def mask(self, field: np.ndarray, height_mm: float) -> np.ndarray:
        """Boolean plane of a signed host-grid field above zero."""
        subject, _ = self.points(height_mm)
        return self.lesion.grid.sample(field, subject, fill=-50.0) > 0

    def brain(self, height_mm: float) -> np.ndarray:
        """Boolean brain mask of a plane."""
        _, source = self.points(height_mm)
        return self.anatomy.brain_depth(source) > 0

    def slice_image(self, height_mm: float) -> np.ndarray:
        """Noise-free plane averaged over the slice thickness, float32 (size, size)."""
        planes = [self._plane(height_mm + offset) for offset in self.style.plane_offsets_mm()]
        return np.mean(planes, axis=0)

    def _plane(self, height_mm: float) -> np.ndarray:
        subject, source = self.points(height_mm)
        depth = np.full(subject.shape[:2], -60.0, np.float32)
        near_brain = bounding_window(self.anatomy.brain_depth(source[::4, ::4]) > -14, 4)
        if near_brain is None:
            return self._tissue(source, depth)
        depth[near_brain] = self.anatomy.brain_depth(source[near_brain])
        image = self._tissue(source, depth)
        csf = np.zeros_like(depth)
        csf[near_brain] = self.anatomy.tissue(source[near_brain], "csf")
        image[near_brain] = self._normal_enhancement(*(a[near_brain] for a in (image, subject, source, depth, csf)))
        if self.lesion.entry_point is not None:
            image[near_brain] = self._craniotomy(image[near_brain], subject[near_brain], depth[near_brain])
        coarse = subject[::2, ::2]
        inside = ((coarse > self._abnormal_low) & (coarse < self._abnormal_high)).all(-1)
        window = bounding_window(inside, 2)
        if window is not None:
            image[window] = self._lesion(*(array[window] for array in (image, subject, source, depth, csf)))
        return image

    def _tissue(self, source: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Unenhanced anatomy with this style's grey-white contrast and fat brightness."""
        t1 = self.anatomy.grid.sample(self.anatomy.t1, source)
        grey = self.anatomy.grey_level
        lifted = grey + self.style.grey_white_compression * (1 - grey)
        brain = np.interp(t1, (0.0, 0.3, grey, 1.0, 1.4, 3.0), (0.0, 0.27, lifted, 1.0, 1.2, 1.5))
        scalp = t1 * self.style.scalp_gain
        inside = smooth_step(depth, -3.5, -0.5)
        return (brain * inside + scalp * (1 - inside)).astype(np.float32)

    def _normal_enhancement(
        self, image: np.ndarray, subject: np.ndarray, source: np.ndarray, depth: np.ndarray, csf: np.ndarray
    ) -> np.ndarray:
        """Vessels, venous sinuses, falx, dura and choroid plexus after gadolinium."""
        look = self.look
        lateral, anterior, superior = np.abs(source[..., 0]), source[..., 1], source[..., 2]
        ventricles = self.anatomy.tissue(source, "ventricles")
        above_base = smooth_step(superior, -5.0, 8.0)
        outward = np.clip(-depth, 0, 6)
        sinus = np.exp(-((lateral / (1.3 + 0.55 * outward)) ** 2))
        sinus *= smooth_step(-depth, -2.0, 0.5) * (1 - smooth_step(-depth, 4.0, 6.5)) * above_base
        falx = np.exp(-((lateral / 1.0) ** 2)) * csf * (depth < 16) * above_base
        first = self.textures.sample("vessel_a", subject)
        second = self.textures.sample("vessel_b", subject)
        tube_distance = first * first + second * second
        calibre = 0.10 + 0.05 * smooth_step(-superior, -5.0, 20.0)
        near_surface = smooth_step(csf, 0.15, 0.55) * (1 - smooth_step(depth, 16.0, 26.0)) * smooth_step(depth, -2.5, 0)
        vessels = np.exp(-tube_distance / (2 * calibre**2)) * near_surface * (1 - ventricles)
        choroid = np.exp(
            -(((lateral - 24) / 6) ** 2 + ((anterior + 38) / 9) ** 2 + ((superior - 8) / 11) ** 2)
        ) + 0.7 * np.exp(-(((lateral - 12) / 5) ** 2 + ((anterior + 22) / 12) ** 2 + ((superior - 20) / 5) ** 2))
        choroid *= ventricles * smooth_step(first + 0.6 * second, -0.6, 0.4)
        internal_veins = np.exp(
            -(((lateral - 2) / 1.6) ** 2 + ((superior - 13) / 3.0) ** 2 + ((anterior + 32) / 9) ** 2)
        )
        dura = np.exp(-(((depth + 0.8) / 1.1) ** 2)) * (0.5 + 0.5 * smooth_step(first, -0.5, 1.0))
        target = image + look.vessels * (1.1 * sinus + 0.35 * falx + 0.7 * choroid + 0.5 * internal_veins)
        target += look.dura * dura
        bright = np.clip(1.05 * vessels * look.vessels, 0, 1)
        return target * (1 - bright) + bright * np.maximum(target, 1.55)

    def _craniotomy(self, image: np.ndarray, subject: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Saw line around the bone flap, thick enhancing dura under it, slightly swollen scalp over it."""
        off_entry = np.sqrt(((subject - self.lesion.entry_point.astype(np.float32)) ** 2).sum(-1))
        radius = self.lesion.flap_radius_mm
        under_flap = 1 - smooth_step(off_entry, radius - 4, radius + 4)
        saw_line = np.exp(-(((off_entry - radius) / 1.3) ** 2))
        saw_line *= smooth_step(-depth, 2.0, 3.5) * (1 - smooth_step(-depth, 8.0, 10.0))
        image = image * (1 - 0.75 * saw_line)
        pachymeningeal = np.exp(-(((depth + 1.2) / 1.5) ** 2)) * under_flap * 0.75
        image = image * (1 - pachymeningeal) + pachymeningeal * self.look.enhancement * 0.85
        swollen = under_flap * smooth_step(-depth, 6.0, 9.0) * 0.18
        return image * (1 - swollen)

    def _lesion(
        self, image: np.ndarray, subject: np.ndarray, source: np.ndarray, depth: np.ndarray, csf: np.ndarray
    ) -> np.ndarray:
        lesion, look = self.lesion, self.look
        texture = {name: self.textures.sample(name, subject) for name in Textures.SCALES_MM}
        field = lesion.grid.sample
        tumour_depth = field(lesion.tumour_depth, subject, -50.0)
        oedema = field(lesion.oedema, subject)
        inside_brain = smooth_step(depth, -1.0, 1.0)
        fluid = self.anatomy.tissue(source, "ventricles")

        swelling = oedema * (0.85 + 0.15 * np.clip(texture["broad"], -1, 1)) * smooth_step(image, 0.35, 0.7)
        image = image * (1 - look.oedema * swelling * inside_brain)
        if look.radiation_change:
            image = image * (1 - look.radiation_change * field(lesion.treated, subject) * inside_brain)
        if lesion.scar.any():
            image = self._scar(image, field(lesion.scar, subject), texture, inside_brain)
        image = self._tumour(image, tumour_depth, texture, inside_brain * (1 - 0.7 * fluid))
        if lesion.pseudoprogression:
            image = self._radiation_necrosis(image, field(lesion.treated, subject), texture, inside_brain * (1 - csf))
        if lesion.has_cavity:
            cavity_depth = field(lesion.cavity_depth, subject, -50.0)
            image = self._cavity(image, cavity_depth, tumour_depth, texture, subject, depth)
        return image

    def _tumour(
        self, image: np.ndarray, depth: np.ndarray, texture: dict[str, np.ndarray], allowed: np.ndarray
    ) -> np.ndarray:
        """Ragged enhancing ring of varying thickness around a necrotic core crossed by strands."""
        look = self.look
        ragged = depth + 0.4 * texture["medium"] + 0.2 * texture["fine"]
        present = smooth_step(ragged, -0.7, 0.7) * allowed
        thickness = look.ring_thickness_mm * np.exp(0.45 * texture["coarse"] + 0.15 * texture["medium"])
        inner = ragged + 0.5 * texture["medium"]
        core = smooth_step(inner, thickness, thickness + 1.6)
        vigour = 0.72 + 0.24 * texture["coarse"] + 0.2 * texture["medium"] + 0.1 * texture["fine"]
        ring = 0.9 + (look.enhancement - 0.9) * np.clip(vigour, 0.05, 1.25)
        strands = np.exp(-((texture["strands"] / 0.22) ** 2)) * smooth_step(texture["broad"], -0.3, 0.9)
        necrosis = look.necrosis_level + 0.04 * texture["coarse"] + 0.03 * texture["medium"]
        necrosis = necrosis + 0.55 * strands * (ring - necrosis)
        solid = ring * (1 - core) + necrosis * core
        return image * (1 - present) + present * solid

    def _scar(
        self, image: np.ndarray, scar: np.ndarray, texture: dict[str, np.ndarray], allowed: np.ndarray
    ) -> np.ndarray:
        """Killed tumour: dark gliosis with a faint, broken enhancing edge."""
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
        tumour_depth: np.ndarray,
        texture: dict[str, np.ndarray],
        subject: np.ndarray,
        depth: np.ndarray,
    ) -> np.ndarray:
        """Fluid with debris behind a ragged wall, thinly and patchily enhancing; blood layers posteriorly."""
        look = self.look
        ragged = cavity_depth + 0.8 * texture["coarse"] + 0.55 * texture["medium"] + 0.2 * texture["fine"]
        patches = smooth_step(texture["broad"] + 0.6 * texture["coarse"], -0.3, 1.0)
        near_tumour = smooth_step(tumour_depth, -4.0, -0.5)
        wall = np.exp(-(((ragged + 0.5) / 1.0) ** 2)) * smooth_step(depth, 0.5, 3.0)
        wall *= np.clip(0.12 + 0.5 * patches + 0.45 * near_tumour, 0, 0.85)
        image = image * (1 - wall) + wall * look.enhancement * (0.9 + 0.08 * texture["medium"])
        level = look.cavity_level * (1 + 0.05 * texture["broad"])
        debris = smooth_step(texture["coarse"] + 0.5 * texture["medium"], 0.9, 2.0) * (1 - smooth_step(ragged, 3.0, 8.0))
        level = level + 0.3 * debris + 0.10 * np.exp(-((texture["strands"] / 0.15) ** 2)) * patches
        if look.blood > 0:
            inside = self.lesion.grid.points()[self.lesion.cavity_depth > 0]
            layer = np.quantile(inside[:, 1], 0.3) if len(inside) else 0.0
            sediment = smooth_step(layer - subject[..., 1] + 0.8 * texture["coarse"], -1.5, 1.5)
            level = level + look.blood * (0.6 * sediment + 0.35 * np.exp(-(((ragged - 1.5) / 1.2) ** 2)) * patches)
        amount = smooth_step(ragged, -0.4, 0.9)
        return image * (1 - amount) + amount * level


def abnormal_extent(lesion: Lesion) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest world corner (mm) of everything abnormal that would show in a picture."""
    abnormal = (lesion.oedema > 0.02) | (lesion.tumour_depth > -4) | (lesion.cavity_depth > -5) | (lesion.treated > 0.02)
    corners = []
    for axis in range(3):
        hits = np.flatnonzero(abnormal.any(axis=tuple(other for other in range(3) if other != axis)))
        corners.append((hits[0], hits[-1]) if hits.size else (0, -1))
    low, high = np.asarray(corners, np.float32).T * lesion.grid.spacing_mm + np.asarray(lesion.grid.origin)[None]
    return low.astype(np.float32), high.astype(np.float32)


def bounding_window(mask: np.ndarray, step: int) -> tuple[slice, slice] | None:
    """Full-resolution window around the true pixels of a mask that holds every `step`-th pixel; None if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return tuple(slice(max(0, step * (hits[0] - 1)), step * (hits[-1] + 2)) for hits in (rows, columns))


def interpolation_matrix(size: int, step: int) -> np.ndarray:
    """Linear interpolation from every `step`-th sample to all `size` samples: float32 (size, size // step + 1)."""
    position = np.arange(size, dtype=np.float32) / step
    lower = np.minimum(position.astype(int), size // step - 1)
    weights = np.zeros((size, size // step + 1), np.float32)
    weights[np.arange(size), lower] = 1 - (position - lower)
    weights[np.arange(size), lower + 1] = position - lower
    return weights


class Scanner:
    """Gain, gamma, point spread, bias field and Rician noise of one visit."""

    def __init__(self, generator: np.random.Generator, style: AcquisitionStyle, view: FieldOfView) -> None:
        self._generator = generator
        self._gain = float(np.clip(generator.normal(1, 0.03), 0.92, 1.08))
        self._gamma = float(generator.uniform(0.93, 1.08))
        self._blur = style.blur_pixels * float(generator.uniform(0.85, 1.15))
        self._noise = style.noise * float(generator.uniform(0.8, 1.25))
        self._bias = 0.05 * generator.standard_normal(9)
        half = view.size / 2
        row, column = np.meshgrid(*[(np.arange(view.size) - half) / half] * 2, indexing="ij")
        self._row, self._column = row.astype(np.float32), column.astype(np.float32)

    def acquire(self, image: np.ndarray, height_mm: float) -> np.ndarray:
        """Measured plane of a noise-free plane at `height_mm`."""
        row, column, height = self._row, self._column, np.float32(height_mm / 90)
        terms = (row, column, height, row * row, column * column, row * column, row * height, column * height, height**2)
        bias = np.exp(sum(weight * term for weight, term in zip(self._bias, terms)))
        image = np.clip(image, 0, 3.2) ** self._gamma * self._gain
        image = ndimage.gaussian_filter(image, self._blur) * bias
        real, imaginary = self._noise * self._generator.standard_normal((2, *image.shape), dtype=np.float32)
        return np.hypot(image + real, imaginary).astype(np.float32)
