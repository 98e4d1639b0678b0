"""Simulated glioblastoma patients: pre- and post-treatment T1-Gd slices, GTV and survival.

Reading order: `patient` (the whole story), then `fields`, `anatomy`, `library`, `biology`, `growth`, `treatment`,
`survival`, `mass_effect`, `lesion`, `appearance`, `acquisition`, `painting`, `rendering`, `clinical`,
`cfb_gbm_layout`. Constants are plausible by eye or calibrated to CFB-GBM's marginal statistics. Figures measured on
these patients say nothing about real ones.
"""

from .anatomy.anatomy import Anatomy, SubjectShape, load_anatomy
from .anatomy.library import AnatomyLibrary, choose_anatomies
from .patient import (
    HiddenPatient,
    SimulatedPatient,
    SimulationSettings,
    enhancing_masks,
    simulate_hidden_patient,
    simulate_patient,
)

__all__ = [
    "Anatomy",
    "AnatomyLibrary",
    "HiddenPatient",
    "SimulatedPatient",
    "SimulationSettings",
    "SubjectShape",
    "choose_anatomies",
    "enhancing_masks",
    "load_anatomy",
    "simulate_hidden_patient",
    "simulate_patient",
]
