"""GBMResponse engine: from a pre-treatment T1-Gd MRI and its GTV to a synthetic follow-up MRI.

Five lines predict the case that ships and give its arrays:

```pycon
>>> import GBMResponseCore as gbm
>>> case = gbm.sample_case()  # or gbm.load_case("t1gd.nii.gz", "gtv.nii.gz"), gbm.case_from_arrays(image, gtv, affine)
>>> prediction = gbm.predict(case, sample_count=0, seed=1)
>>> expected, affine = gbm.to_array(prediction.expected)
>>> expected.shape
(256, 256, 20)

```

`docs/python.md` has more; `docs/architecture.md` follows one case through the files.

Research use only: every output is synthetic. Never imports slicer, qt or vtk.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import *  # noqa: F403

__version__ = "1.0.0"

SYNTHETIC_NOTICE = "SYNTHETIC image, research use only: not a medical device, not for clinical decisions."


def __getattr__(name: str) -> Any:
    """What users of the package call is loaded when it is asked for: the Slicer side has no numpy to load it with."""
    private = name.startswith("_") and name != "__all__"
    if private or find_spec(f"{__name__}.{name}"):  # a module of the package, which is imported next
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    api = import_module(".api", __name__)
    return ["SYNTHETIC_NOTICE", *api.__all__] if name == "__all__" else getattr(api, name)
