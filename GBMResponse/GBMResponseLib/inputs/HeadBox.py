"""Where the head is in a volume, so that views can show it without the air around it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_STRIDE = 4
_MARGIN = 1.12


@dataclass(frozen=True)
class HeadBox:
    """A box around the bright voxels, in world space (RAS), mm."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]

    def fieldOfView(self, columns: int, rows: int) -> tuple[float, float]:
        """Return width and height in mm of an axial view of this many pixels that shows the whole box."""
        aspect = columns / rows
        width = _MARGIN * max(self.size[0], self.size[1] * aspect)
        return width, width / aspect

    def zoom(self, sliceNode: Any) -> None:
        """Show the box in a slice view, as large as it fits."""
        columns, rows = sliceNode.GetDimensions()[:2]
        if columns > 0 and rows > 0:
            sliceNode.SetFieldOfView(*self.fieldOfView(columns, rows), sliceNode.GetFieldOfView()[2])
            sliceNode.JumpSliceByCentering(*self.center)


def findHead(volume: Any) -> HeadBox | None:
    """Return the box of a volume; None if nothing stands out, or if the volume is under a warping transform.

    Looks at every fourth voxel along each axis.
    """
    parent = volume.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        return None
    image = volume.GetImageData()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    sampled = voxels[::_STRIDE, ::_STRIDE, ::_STRIDE]
    bright = np.argwhere(sampled > sampled.mean())[:, ::-1] * _STRIDE
    if len(bright) < 8:
        return None
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    if parent is not None:
        toWorld = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(toWorld)
        vtk.vtkMatrix4x4.Multiply4x4(toWorld, matrix, matrix)
    affine = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(3)])
    points = bright @ affine[:, :3].T + affine[:, 3]
    # Single bright specks in the air do not count.
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    return HeadBox(tuple((low + high) / 2.0), tuple(high - low))
