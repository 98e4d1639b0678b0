"""An invented head in the layout of a prepared anatomy, for the generator's tests."""

from pathlib import Path

import numpy as np

SHAPE, ORIGIN = (165, 205, 165), (-82.0, -118.0, -68.0)


def write_egg_anatomy(folder: Path, name: str = "egg") -> Path:
    """Write an egg-shaped head: white matter, grey rim, CSF, skull gap, scalp, a bright stripe down the forehead."""
    x, y, z = (
        np.arange(size, dtype=np.float32)[tuple(slice(None) if a == axis else None for a in range(3))] + ORIGIN[axis]
        for axis, size in enumerate(SHAPE)
    )
    radius = np.sqrt((x / 66) ** 2 + ((y + 16) / 84) ** 2 + ((z - 12) / 66) ** 2)
    white, grey, csf = radius < 0.86, (radius >= 0.86) & (radius < 0.96), (radius >= 0.96) & (radius < 1.0)
    t1 = white + 0.75 * grey + 0.3 * csf + 1.2 * ((radius > 1.08) & (radius < 1.18))
    t1[(radius > 1.06) & (radius < 1.2) & (np.abs(x) < 8) & (y > 0)] = 2.4
    path = folder / f"{name}.npz"
    np.savez(
        path,
        t1=t1.astype(np.float16),
        mask=radius < 1,
        ras_origin=np.array(ORIGIN),
        **{key: (tissue * 255).astype(np.uint8) for key, tissue in {"wm": white, "gm": grey, "csf": csf}.items()},
    )
    return path
