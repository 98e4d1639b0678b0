"""The slices of one case, read once for everything that looks at them: prediction, measurements, pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from ..errors import NoOverlapError
from ..setting import decided
from .case import Case
from .follow_up import LOWEST_CORRELATION, SMALLEST_COVERAGE, AlignedFollowUp, match_follow_up
from .grid import StackGrid
from .preprocessing import InPlaneRule, IntensityScale, NormalizationSettings, fit_scale
from .reading import Note
from .resampling import image_like


@dataclass(frozen=True, eq=False)
class CaseSlices:
    """A case as the networks see it.

    :param scale: of the input's intensities.
    :param stack: the input (n, H, W), float32, in its own intensities.
    :param gtv: mask of the GTV (n, H, W), bool.
    :param indices: slices of the stack to generate, those with GTV (k,), from inferior to superior.
    :param follow_up: the true follow-up, once it is aligned.
    :param seen: what the model's autoencoder makes of the slices, if the model has ranges of it.
    """

    case: Case
    grid: StackGrid
    scale: IntensityScale
    stack: np.ndarray
    gtv: np.ndarray
    indices: np.ndarray
    follow_up: AlignedFollowUp | None = None
    seen: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def pre(self) -> np.ndarray:
        """The input's slices to generate, normalized float32 (k, H, W)."""
        return self.scale.normalize(self.stack[self.indices])

    @cached_property
    def truth(self) -> np.ndarray:
        """The same of the true follow-up, in its own intensity scale."""
        return self.truth_stack[self.indices]

    @cached_property
    def truth_stack(self) -> np.ndarray:
        """All slices of the true follow-up, normalized float32 (n, H, W)."""
        follow_up = decided(self.follow_up)
        return follow_up.scale.normalize(self.grid.to_stack(follow_up.image))

    @property
    def centers(self) -> np.ndarray:
        """Centers of the slices to generate (k, 3), RAS mm."""
        columns, rows, _count = self.grid.size
        middle = [((columns - 1) / 2, (rows - 1) / 2, float(index)) for index in self.indices]
        reference = self.grid.reference
        points = [reference.TransformContinuousIndexToPhysicalPoint(point) for point in middle]
        return np.array(points) * (-1.0, -1.0, 1.0)

    @property
    def generated(self) -> np.ndarray:
        """Which slices of the stack are generated, bool (n,)."""
        generated = np.zeros(len(self.stack), bool)
        generated[self.indices] = True
        return generated

    @property
    def positions_mm(self) -> np.ndarray:
        """Positions of the slices to generate along the stack's normal (k,)."""
        return self.grid.slice_positions_mm[self.indices]

    def with_follow_up(self, follow_up: AlignedFollowUp | None) -> tuple["CaseSlices", list[Note]]:
        """The same with a follow-up, if it shows the same head; and what to say about it.

        A follow-up that does not is left out: scores against it would mean nothing.
        """
        if follow_up is None:
            return self, []
        slices = replace(self, follow_up=follow_up)
        gtv, pair = self.gtv[self.indices], (self.pre, slices.truth)
        match = match_follow_up(self.case.follow_up, follow_up.transform, self.grid, self.indices, pair, gtv)
        notes = [note for note in (match.coverage_note(), match.correlation_note()) if note]
        if match.coverage >= SMALLEST_COVERAGE and match.correlation >= LOWEST_CORRELATION:
            return slices, notes
        unused = "The follow-up is not shown and not scored: it does not show the same part of the same head."
        return self, [*notes, Note("follow-up-unused", unused)]

    def read(self, volume: sitk.Image) -> np.ndarray:
        """The slices to generate of a predicted volume, normalized float32 (k, H, W)."""
        return self.scale.normalize(self.grid.to_stack(volume)[self.indices])

    def to_volume(self, pixels: np.ndarray, shares: np.ndarray | None = None) -> tuple[sitk.Image, sitk.Image]:
        """Generated slices, normalized (k, H, W), as a volume and its mask, see :meth:`StackGrid.to_volume`.

        :param shares: of the slices in the volume (k, H, W), the rest is the input's; None: the slices alone.
        """
        return self._volume(pixels, shares, self.case.image)

    def _volume(
        self, pixels: np.ndarray, shares: np.ndarray | None, image: sitk.Image
    ) -> tuple[sitk.Image, sitk.Image]:
        stack = self.stack.copy()
        stack[self.indices] = self.scale.restore(pixels)
        shares = None if shares is None else self._extended(shares)
        return self.grid.to_volume(stack, self.generated, image, shares)

    def share_volume(self, shares: np.ndarray) -> sitk.Image:
        """The shares (k, H, W) that :meth:`to_volume` takes, float32 on the input's grid, 0 outside its mask."""
        nothing = image_like(self.case.image, np.zeros(self.case.image.GetSize()[::-1], np.float32))
        return self.grid.to_volume(self._extended(shares), self.generated, nothing)[0]

    def _extended(self, shares: np.ndarray) -> np.ndarray:
        """Shares of every slice of the stack (n, H, W); without own ones, those of the nearest generated slice.

        Between a slice that is generated and one that is not, interpolation takes the input's part already.
        """
        distance = np.abs(np.arange(len(self.stack))[:, None] - self.indices)
        return shares[distance.argmin(axis=1)]

    def to_slab(self, pixels: np.ndarray, shares: np.ndarray | None = None) -> sitk.Image:
        """The volume of :meth:`to_volume`, of it the smallest box alone that holds the generated slices."""
        around = self.grid.slab_of(self.case.image, self.generated)
        volume, slices = self._volume(pixels, shares, around)[0], self._volume(pixels, None, around)[1]
        box = sitk.LabelShapeStatisticsImageFilter()
        box.Execute(slices)
        corner, size = np.split(np.array(box.GetBoundingBox(1)), 2)
        return sitk.RegionOfInterest(volume, size.tolist(), corner.tolist())


def read_slices(case: Case, rule: InPlaneRule, normalization: NormalizationSettings) -> CaseSlices:
    """Place a stack over the case and read it.

    :raises NoOverlapError: no GTV lies inside the slices' field of view.
    """
    grid = StackGrid.for_image(case.image, rule)
    stack = grid.to_stack(case.image)
    gtv = grid.to_stack(case.gtv, label=True)
    scale = fit_scale(sitk.GetArrayViewFromImage(case.image), normalization)
    indices = np.flatnonzero(gtv.any(axis=(1, 2)))
    if not indices.size:
        raise NoOverlapError("The GTV lies outside the field of view around the head.")
    return CaseSlices(case, grid, scale, stack, gtv, indices)
