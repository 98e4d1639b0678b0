"""Which segment is the tumor, by its name."""

import re

_WORDS = (r"gtv", r"gross", r"tumou?r", r"enhanc", r"lesion", r"target")
_NOT = re.compile(r"edema|oedema|necro|brain|skin|skull|eye|nerve|chiasm|\boar\b|ctv|ptv", re.IGNORECASE)


def guessTumorSegment(names: dict[str, str]) -> str:
    """Return the ID of the segment that is probably the GTV; empty if none of several is.

    :param names: segment ID -> name.
    """
    for word in _WORDS:
        found = [key for key, name in names.items() if re.search(word, name, re.IGNORECASE) and not _NOT.search(name)]
        if found:
            return found[0]
    return next(iter(names)) if len(names) == 1 else ""
