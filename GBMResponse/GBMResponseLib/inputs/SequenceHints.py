"""What name and DICOM tags say about a volume: whether it may be the contrast-enhanced T1 before treatment.

A clinical "PRE" is before *contrast*: no rule here takes it for before treatment.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..common.Translation import tr as _

_AGENT = r"(?:gd|gado?\w*|ce|c|km|mdc|contrast\w*|inj\w*|dotarem|gadovist)"
_NO_CONTRAST = re.compile(
    rf"\b(?:pre|non|no|w o|without|sans|ohne|senza|sin) {_AGENT}\b"
    r"|\bprecontrast|\bnoncontrast|\bnative?\b|\bunenhanced\b"
)
_CONTRAST = re.compile(
    r"\b(?:gd|gad|gado\w*|ce|km|mdc|contrast\w*|postcontrast|dotarem|gadovist|enhanced|t1w?c|t1w?(?:ce|gd)\w*|plusc)\b"
)
_LATER = re.compile(r"\bfollow|\bfu\b|\bpost ?(?:rt|op|treat|tx|rx|chemo|rad)|\bafter\b|\blater\b|\brecurr")
_OTHERS = (
    ("FLAIR", re.compile(r"flair")),
    ("T2", re.compile(r"\bt2\b|\bt2w\b|\bt2 ?(?:star|tse|fse|cube)")),
    ("ADC", re.compile(r"\badc\b|\bapparent diff")),
    ("DWI", re.compile(r"\bdwi\b|\bdti\b|\bb1000\b|\btrace\b")),
    ("SWI", re.compile(r"\bswi\b|\bswan\b")),
    ("perfusion", re.compile(r"\bperf|\br?cbv\b|\br?cbf\b|\bdsc\b|\bdce\b")),
    ("CT", re.compile(r"\bct\b")),
    ("RTDOSE", re.compile(r"\brt ?dose\b|\bdose\b")),
    ("PET", re.compile(r"\bpet\b|\bfdg\b")),
)
_MODALITIES = ("MR", "OT", "")
PRE_CONTRAST = "pre-contrast"


@dataclass(frozen=True)
class SequenceHints:
    """What a volume seems to be.

    :param contrast: T1 with contrast agent, by name or tag.
    :param later: from after the treatment, by name.
    :param instead: what it seems to be instead: `pre-contrast`, `FLAIR`, `T2`, `CT`...; empty if nothing speaks for it.
    :param byTag: DICOM tags say so, not only the name.
    :param date: of the study, ISO 8601; empty if unknown.
    """

    contrast: bool = False
    later: bool = False
    instead: str = ""
    byTag: bool = False
    date: str = ""

    @property
    def text(self) -> str:
        """The hints in words; empty if there are none."""
        parts = [self.instead] if self.instead else [_("T1 with contrast")] if self.contrast else []
        return ", ".join([*parts, self.date] if self.date else parts)


def sequenceHints(name: str, tags: Mapping[str, str]) -> SequenceHints:
    """Return what a volume seems to be.

    :param tags: `Modality`, `SeriesDescription`, `ContrastBolusAgent`, `StudyDate` as far as they are known.
    """
    modality, date = tags.get("Modality", "").strip().upper(), tags.get("StudyDate", "").strip()
    date = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if re.fullmatch(r"\d{8}", date) else ""
    if modality not in _MODALITIES:
        return SequenceHints(instead=modality, byTag=True, date=date)
    words = _words(f"{name} {tags.get('SeriesDescription', '')}")
    isT1 = re.search(r"\bt1|mprage|\bspgr\b|\bbravo\b|\bvibe\b", words) is not None
    other = next((label for label, pattern in _OTHERS if pattern.search(words)), "")
    if other and not isT1:
        return SequenceHints(instead=other, date=date)
    later = _LATER.search(words) is not None
    agent = tags.get("ContrastBolusAgent", "").strip()
    denied = _NO_CONTRAST.search(words) is not None
    contrast = not denied and (bool(agent) or _saysContrast(words, isT1))
    if denied or (isT1 and not contrast and re.search(r"\bpre\b", words)):
        return SequenceHints(later=later, instead=PRE_CONTRAST, date=date)
    return SequenceHints(contrast, later, "", bool(agent) and contrast, date)


def clearInput(volumes: Sequence[SequenceHints]) -> int | None:
    """Return the index of the only volume that may be the T1-Gd before treatment; None where that is not clear."""
    possible = [number for number, hints in enumerate(volumes) if not hints.instead and not hints.later]
    if len(volumes) == 1:
        return possible[0] if possible else None
    enhanced = [number for number in possible if volumes[number].contrast]
    return enhanced[0] if len(enhanced) == 1 else None


def _words(text: str) -> str:
    """Lower case, parted by single spaces; `+C` becomes a word."""
    text = re.sub(r"\+ ?c\b|\bc\+", " plusc ", text.lower())
    text = re.sub(r"\bw/ ?o\b", "w o", text)
    return " ".join(re.findall(r"[a-z0-9]+", text))


def _saysContrast(words: str, isT1: bool) -> bool:
    if _CONTRAST.search(words):
        return True
    return isT1 and re.search(r"\bpost\b|\bc\b", words) is not None and not _LATER.search(words)
