"""An analytic head that needs no data: nested egg shells. For tests and trials of the whole chain, not for realism.

White matter, a gray rim, CSF, a dark skull gap and scalp around the brain's center (0, -16, 12) mm, two ventricles,
and a bright stripe down the forehead by which orientation can be seen.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy

SHAPE, ORIGIN = (165, 205, 165), (-82.0, -118.0, -68.0)


def phantom_anatomy(name: str = "phantom") -> Anatomy:
    """The egg-shaped head."""
    x, y, z = np.ogrid[tuple(slice(start, start + size) for start, size in zip(ORIGIN, SHAPE, strict=True))]
    x, y, z = (axis.astype(np.float32) for axis in (x, y, z))
    radius = np.sqrt((x / 66) ** 2 + ((y + 16) / 84) ** 2 + ((z - 12) / 66) ** 2)
    ventricles = ((np.abs(x) - 11) / 6) ** 2 + ((y + 14) / 26) ** 2 + ((z - 18) / 8) ** 2 < 1
    white = (radius < 0.86) & ~ventricles
    gray = (radius >= 0.86) & (radius < 0.96)
    csf = ((radius >= 0.96) & (radius < 1.0)) | ventricles
    t1 = white + 0.75 * gray + 0.3 * csf + 1.2 * ((radius > 1.08) & (radius < 1.18))
    t1[(radius > 1.06) & (radius < 1.2) & (np.abs(x) < 8) & (y > 0)] = 2.4
    tissues = {key: tissue.astype(np.uint8) * 255 for key, tissue in (("csf", csf), ("gm", gray), ("wm", white))}
    return Anatomy(name, t1.astype(np.float32), radius < 1, tissues, ORIGIN)
