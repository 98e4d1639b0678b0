"""GBMResponse engine: from a pre-treatment T1-Gd MRI and its GTV to a synthetic follow-up MRI.

Read the files in this order to follow one case from disk to result: `case`, `geometry`, `intensity`,
`bundle`, `networks`, `sampling`, `survival`, `prediction`, then what is made of it: `enhancement`, `lesions`,
`response`, `measurements`, `report`, `provenance`. `runner` puts them together for `cli`, `cohort` and `worker`.

Research use only: every output is synthetic. Never imports slicer, qt or vtk.
"""

__version__ = "0.1.0"

SYNTHETIC_NOTICE = "SYNTHETIC image, research use only: not a medical device, not for clinical decisions."
