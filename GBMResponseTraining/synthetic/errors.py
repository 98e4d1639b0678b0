"""Typed errors of the simulation."""

from GBMResponseCore.errors import GBMResponseError


class AnatomyError(GBMResponseError):
    """Head anatomies are missing or cannot be used."""

    code = "anatomies"
    exit_code = 70
    remedy = "Give a folder with prepared anatomies, <name>.npz, or the word phantom; see docs/simulate.md."


class SimulationFolderError(GBMResponseError):
    """The output folder holds another simulation."""

    code = "simulation-folder"
    exit_code = 71
    remedy = "Choose another folder, or repeat the command with the settings in simulation.json."


class RealismError(GBMResponseError):
    """Simulated and real slices cannot be compared."""

    code = "realism"
    exit_code = 72
    remedy = "Give two slice stores of one slice size, each of at least two patients with a GTV; see docs/simulate.md."
