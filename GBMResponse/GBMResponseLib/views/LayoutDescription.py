"""The XML of the comparison layout: a grid of linked slice views with names of their own."""

from typing import Any
from xml.sax.saxutils import quoteattr

VIEW_GROUP = 517
MOST_VIEWS = 8
_FIRST_LAYOUT = 51700
_COLORS = ("#6FA8DC", "#F6B26B", "#93C47D", "#C27BA0", "#8E7CC3", "#76A5AF", "#E06666", "#FFD966")


def viewName(number: int) -> str:
    """Return the name of the n-th view, counted from 0."""
    return f"GBMResponse{number + 1}"


def layoutIdentifier(count: int) -> int:
    """Return the number under which Slicer knows the layout with this many views."""
    return _FIRST_LAYOUT + count


def isOwnLayout(identifier: int) -> bool:
    """Whether a layout is one of ours."""
    return _FIRST_LAYOUT < identifier <= _FIRST_LAYOUT + MOST_VIEWS


def columnCount(count: int) -> int:
    """Return how many views stand in a row."""
    return count if count <= 3 else (count + 1) // 2


def layoutXml(count: int) -> str:
    """Return the description of a layout with this many views, row by row."""
    columns = columnCount(count)
    rows = [range(start, min(start + columns, count)) for start in range(0, count, columns)]
    body = "".join(f"<item>{_row(row)}</item>" for row in rows)
    return f'<layout type="vertical" split="false">{body}</layout>'


def ownLayouts() -> dict[int, str]:
    """Return the descriptions of all layouts of the module by their numbers."""
    layouts = {layoutIdentifier(count): layoutXml(count) for count in range(1, MOST_VIEWS + 1)}
    return {**layouts, READER_LAYOUT: readerLayoutXml()}


def registerLayouts(layoutNode: Any) -> None:
    """Make the layouts known to a layout node.

    A scene holds the number of its layout only: without this, one that was saved while runs were compared would open
    without views in a Slicer in which the module has not been used yet.
    """
    wasModifying = layoutNode.StartModify()
    for identifier, description in ownLayouts().items():
        if not layoutNode.IsLayoutDescription(identifier):
            layoutNode.AddLayoutDescription(identifier, description)
    # If a scene with one of these numbers was loaded before, its description is taken up now.
    layoutNode.SetViewArrangement(layoutNode.GetViewArrangement())
    layoutNode.EndModify(wasModifying)


def _row(numbers: range) -> str:
    return '<layout type="horizontal" split="false">' + "".join(_view(number) for number in numbers) + "</layout>"


def _view(number: int) -> str:
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag={quoteattr(viewName(number))}>'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{number + 1}</property>'
        f'<property name="viewcolor" action="default">{_COLORS[number]}</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property>'
        "</view></item>"
    )


READER_LAYOUT = _FIRST_LAYOUT + 90
READER_VIEW = "GBMResponseReader"


def readerLayoutXml() -> str:
    """Return the description of the layout of the reader study: one view that tells nothing."""
    return (
        '<layout type="vertical"><item>'
        f'<view class="vtkMRMLSliceNode" singletontag="{READER_VIEW}">'
        '<property name="orientation" action="default">Axial</property>'
        '<property name="viewlabel" action="default">?</property>'
        '<property name="viewcolor" action="default">#808080</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP + 1}</property>'
        "</view></item></layout>"
    )
