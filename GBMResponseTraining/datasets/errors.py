"""Typed errors of the importers. Those about one patient end in `skipped.csv`, the others end the command."""

from GBMResponseCore.errors import GBMResponseError


class DatasetError(GBMResponseError):
    """A cohort as a whole cannot be read: tables or columns are missing, or no patient is usable."""

    code = "dataset"
    exit_code = 40
    remedy = "See docs/import-cohorts.md for the tables and columns expected."


class TableValueError(DatasetError):
    """A cell of a table does not hold what its column says."""

    code = "table-value"
    exit_code = 41
    remedy = "Correct the table."


class RegistrationQualityError(GBMResponseError):
    """Pre- and post-treatment image do not match well enough."""

    code = "bad-registration"
    exit_code = 42
    remedy = "Look at both images in 3D Slicer; register them there, or import with --keep-badly-registered."


class FollowUpCoverageError(GBMResponseError):
    """The post-treatment image does not show the tumor."""

    code = "follow-up-coverage"
    exit_code = 43
    remedy = "Choose a whole-head follow-up."


class SameImageError(GBMResponseError):
    """Pre- and post-treatment image are one file."""

    code = "same-image"
    exit_code = 44
    remedy = "Correct the paths: a copy of the pre-treatment image teaches that nothing changes."


class LabelMappingError(GBMResponseError):
    """What the label values of a mask mean cannot be told."""

    code = "label-mapping"
    exit_code = 61
    remedy = "Download the mask and its volumes again; a wrong mapping would train on the wrong tissue."


class BrainMaskError(GBMResponseError):
    """The brain cannot be separated from the head."""

    code = "brain-mask"
    exit_code = 62
    remedy = "Give a brain mask, or import without --skull-strip."
