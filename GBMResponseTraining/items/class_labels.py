"""Survival classes of patients: the schemes of a split, and the class that a patient truly has."""

from collections.abc import Mapping, Sequence
from typing import Any

from GBMResponseCore.model.classes import ClassScheme

from ..settings.model_configurations import CLASS_NAMES
from ..store.splits import survival_thresholds


def class_schemes(
    names: Sequence[str], patients: Sequence[Mapping[str, Any]], split: Mapping[str, str]
) -> dict[str, ClassScheme]:
    """Class schemes with consecutive tokens, whose thresholds are quantiles of the training patients' survival."""
    schemes, token = {}, 0
    for name in names:
        classes = CLASS_NAMES[name]
        thresholds = survival_thresholds(patients, split, len(classes))
        schemes[name] = ClassScheme.from_thresholds(name, classes, thresholds, token)
        token += len(classes)
    return schemes


def true_class(record: Mapping[str, Any], scheme: ClassScheme) -> int | None:
    """Index of a patient's class in the scheme; None if it is not known.

    :raises OptionError: the scheme's thresholds are not known, as for an imported checkpoint.
    """
    days = record["survival_days"]
    if days is None:
        return None
    entry = scheme.of_survival(days)
    if record.get("censored") and entry.max_days is not None:
        return None
    return scheme.classes.index(entry)
