"""The engine's score of a run as a table of the scene: every figure beside those of the copies that need no model."""

from typing import Any

import slicer

from ..common import NodeRoles
from ..common.Translation import tr as _
from .MeasurementsTable import MeasurementRow, fillTable
from .ResultNodes import ResultNodes, placeNode

_COPIES = ("copy_of_the_input", "blurred_copy")
_INHERITED = (NodeRoles.SYNTHETIC, NodeRoles.NOTICE, NodeRoles.RUN, NodeRoles.CREATED, NodeRoles.RUN_NAME)


def addScores(run: ResultNodes, record: dict[str, Any], followUp: Any) -> Any:
    """Add the table of a run's score to the scene, in the place of an earlier one.

    :param record: the engine's `score.json`.
    :param followUp: the volume that it was scored against.
    :returns: the vtkMRMLTableNode.
    """
    table = slicer.vtkMRMLTableNode()
    table.SetName(slicer.mrmlScene.GenerateUniqueName(_("SYNTHETIC image against real follow-up")))
    fillTable(table, *scoreRows(record), _("Measure"))
    predicted = run.node(NodeRoles.PREDICTED)
    for name in _INHERITED:
        if predicted.GetAttribute(name):
            table.SetAttribute(name, predicted.GetAttribute(name))
    table.SetAttribute(NodeRoles.ROLE, NodeRoles.SCORES)
    table.SetAttribute(NodeRoles.SUMMARY, summary(record, followUp.GetName()))
    if run.scores is not None:
        slicer.mrmlScene.RemoveNode(run.scores)
    slicer.mrmlScene.AddNode(table)
    table.SetNodeReferenceID(NodeRoles.FOLLOW_UP, followUp.GetID())
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(predicted) if hierarchy is not None else 0
    if item:
        placeNode(hierarchy, hierarchy.GetItemParent(item), table)
    run.scores = table
    return table


def scoreRows(record: dict[str, Any]) -> tuple[list[str], list[MeasurementRow]]:
    """Return titles of columns and rows of the figures; of several classes, each has its own."""
    classes = record["classes"]
    forecasts = [name for name in _columns() if any(name in entry["forecasts"] for entry in classes.values())]
    rows = []
    for className, entry in classes.items():
        skills = _skills(entry)
        for measure, (label, form) in _measures().items():
            found = [entry["forecasts"].get(name, {}).get(measure) for name in forecasts]
            texts = [*(_text(value, form) for value in found), _text(skills.get(measure), "+.2f")]
            name = _("{name}, {class_name}").format(name=label, class_name=className) if len(classes) > 1 else label
            rows.append(MeasurementRow(name, tuple(texts)))
    return [*(_columns()[name] for name in forecasts), _("Skill")], rows


def summary(record: dict[str, Any], followUpName: str) -> str:
    """Return what was scored against what, and in how much the copies are closer."""
    skills = [value for entry in record["classes"].values() for value in _skills(entry).values() if value is not None]
    sampled = any("samples" in entry["forecasts"] for entry in record["classes"].values())
    sentences = [
        _("Scored against {name}, in which {volume:.1f} ml enhance ({category}).").format(
            name=followUpName, volume=record["true_volume_ml"], category=record["true_category"]
        ),
        _("In {worse} of {count} measures a copy of the input is closer than the {who}.").format(
            worse=sum(value < 0 for value in skills),
            count=len(skills),
            who=_("samples") if sampled else _("expected image"),
        ),
    ]
    if not record.get("registered", True):
        sentences.append(_("The follow-up was taken as it lies: it could not be aligned."))
    if record.get("withheld"):
        sentences.append(_("Volumes are not to be relied on here. {reason}").format(reason=record["withheld"]))
    return " ".join(sentences)


def _columns() -> dict[str, str]:
    titles = (_("Samples"), _("Expected"), _("Copy"), _("Blurred copy"))
    return dict(zip(("samples", "expected_image", *_COPIES), titles, strict=True))


def _measures() -> dict[str, tuple[str, str]]:
    return {
        "mse_local": (_("MSE in the GTV"), ".4f"),
        "psnr_local": (_("PSNR in the GTV (dB)"), ".1f"),
        "ssim_local": (_("SSIM in the GTV"), ".3f"),
        "mse": (_("MSE of the slices"), ".4f"),
        "psnr": (_("PSNR of the slices (dB)"), ".1f"),
        "ssim": (_("SSIM of the slices"), ".3f"),
        "enhancement_dice": (_("Overlap of the enhancement (Dice)"), ".2f"),
        "hd95_mm": (_("Distance of its surfaces (HD95, mm)"), ".1f"),
        "volume_error_ml": (_("Error of its volume (ml)"), "+.1f"),
    }


def _skills(entry: dict[str, Any]) -> dict[str, float | None]:
    """Skill of the samples; of the expected image where there are none."""
    skills = entry["skill"].get("samples") or entry["skill"].get("expected_image", {})
    return {measure: values["value"] for measure, values in skills.items()}


def _text(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
