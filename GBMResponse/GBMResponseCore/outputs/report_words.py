"""What the report says of a case in words: the answer, its figures, and what they are worth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..measure.check import FEWEST_SAMPLES
from ..measure.measurements import CAVEATS, TITLE, UNKNOWN_WEEKS, Measurements
from ..request import CaseFacts

if TYPE_CHECKING:
    from ..prediction import Prediction

_WITHHELD = "withheld"
_PSEUDOPROGRESSION_WEEKS = 12.0
_AGREEMENT = 0.8
"""Share of the samples in one category from which it is named: the band between the 10th and the 90th percentile."""


def case_rows(facts: CaseFacts, records: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Who, when, with what: names and values of the page's head."""
    record = next(iter(records.values()))
    weeks = facts.weeks_since_rt
    therapy = (
        "–" if facts.rt_start is None and facts.rt_end is None else f"{facts.rt_start or '?'} to {facts.rt_end or '?'}"
    )
    bundle, software = (record.get(part) or {} for part in ("bundle", "software"))
    return [
        ["Case", facts.case_id or pseudonym(record)],
        ["T1-Gd before", facts.scan_date or "date not given"],
        ["Radiotherapy", therapy if therapy != "–" else "dates not given"],
        ["Follow-up", (facts.follow_up_date or "date not given") + (f", {weeks:.0f} weeks after RT" if weeks else "")],
        ["Made", f"{record.get('created_utc', '–')}{f' by {facts.made_by}' if facts.made_by else ''}"],
        ["With", f"{bundle.get('name', '–')} {bundle.get('version', '')}, gbmresponse {software.get('version', '–')}"],
    ]


def pseudonym(record: Mapping[str, Any]) -> str:
    """A name of the case that its image has in every run, and that says nothing about the patient."""
    digest = str((record.get("inputs_sha256") or {}).get("image", ""))
    return f"case {digest[:4]}-{digest[4:8]}".upper() if digest else "not named"


def answers(predictions: Mapping[str, "Prediction"], measurements: Measurements | None) -> list[str]:
    """The answer, a sentence or two for each class; what the true follow-up says comes last."""
    if measurements is None:
        return ["Nothing was measured: the pictures are the answer."]
    several, sentences = len(predictions) > 1, []
    for entry in measurements.record["classes"].values():
        start = f"Class {entry['class']}: " if several else ""
        sentences.append(start + _answer(entry))
    truth = measurements.record.get("true_follow_up")
    if truth and truth.get("volume_after_ml") is not None:
        sentences.append(
            f"True follow-up: {truth['volume_after_ml']:.1f} ml ({_percent(truth['volume_change'])}), "
            f"{truth['category_by_volume']} by volume, {truth['category_by_area'] or 'not known'} by area."
        )
    return sentences


def _answer(entry: Mapping[str, Any]) -> str:
    if entry["withheld"]["volume"]:
        return f"Cannot say how much will enhance. {entry['withheld']['volume']}"
    before, after, by_volume = entry["volume_before_ml"], entry["volume_after_ml"], entry["by_volume"]
    change = f"Enhancing volume {before:.1f} ml before, {_interval(after, '.1f', 'ml')} expected after treatment"
    if entry["samples"] < FEWEST_SAMPLES:
        return f"{change}: {_count(entry['samples'])}, too few for an interval or a category. Cannot say."
    change += f", the interval that holds it with 80 % as {entry['samples']} samples say."
    possible = list(dict.fromkeys([*by_volume["probabilities"], *by_volume["possible_within_noise"]]))
    if by_volume["indeterminate"]:
        return f"{change} Size category by volume: cannot say ({' or '.join(possible)}: the band crosses a threshold)."
    chances = ", ".join(f"{name} in {chance:.0%}" for name, chance in by_volume["probabilities"].items())
    if max(by_volume["probabilities"].values()) < _AGREEMENT:
        return f"{change} Size category by volume: cannot say, as the samples disagree: {chances} of them."
    return f"{change} Size category by volume: {chances} of the samples."


def better_here(measurements: Measurements | None) -> list[str]:
    """Whether a trivial forecast was better than the prediction on this case; nothing without a true follow-up."""
    sentences, several = [], measurements is not None and len(measurements.record["classes"]) > 1
    for entry in (measurements.record["classes"] if measurements else {}).values():
        score, start = entry.get("score"), f"Class {entry['class']}, " if several else ""
        if not score:
            continue
        for name, words, less in _COMPARED:
            values = {who: values[name] for who, values in score.items() if values[name] is not None}
            rivals = {who: value for who, value in values.items() if who != "prediction"}
            if "prediction" not in values or not rivals:
                continue
            size = abs if name == "volume_error_ml" else float
            best = (min if less else max)(rivals, key=lambda who: size(rivals[who]))
            own, other = size(values["prediction"]), size(rivals[best])
            verdict = "as good as" if own == other else "better than" if (own < other) == less else "worse than"
            rival, what = best.replace("_", " "), f"{start}{words}"
            sentences.append(
                f"{what[0].upper()}{what[1:]}: the prediction ({own:.3g}) was {verdict} the {rival} ({other:.3g})."
            )
    return sentences


_COMPARED = (
    ("mean_absolute_difference_gtv", "difference of intensities in the GTV", True),
    ("enhancement_dice", "Dice of what enhances", False),
    ("volume_error_ml", "error of the volume in ml", True),
)


def caveats(facts: CaseFacts) -> list[str]:
    """All that has to be said, with the time since radiotherapy if it is known."""
    weeks = facts.weeks_since_rt
    if weeks is None:
        return list(CAVEATS)
    known = f"The follow-up lies {weeks:.0f} weeks after the end of radiotherapy."
    if weeks < _PSEUDOPROGRESSION_WEEKS:
        known += " In the first 12 weeks, new enhancement can be pseudoprogression."
    return [known if caveat == UNKNOWN_WEEKS else caveat for caveat in CAVEATS]


def measured(measurements: Measurements) -> dict[str, Any]:
    """Tables and sentences about the measures."""
    score_names, scores = _scores(measurements)
    return {
        "title": TITLE,
        "rows": _rows(measurements),
        "check": _check(measurements.record["check"]),
        "withheld": _withheld(measurements),
        "score_names": score_names,
        "scores": scores,
    }


def _rows(measurements: Measurements) -> list[list[str]]:
    rows = []
    for entry in measurements.record["classes"].values():
        withheld = entry["withheld"]
        volumes = [_WITHHELD] * 4 if withheld["volume"] else _volume_cells(entry)
        rows.append([entry["class"], *volumes, *([_WITHHELD] * 3 if withheld["area"] else _area_cells(entry))])
    return rows


def _volume_cells(entry: Mapping[str, Any]) -> list[str]:
    by_volume, change = entry["by_volume"], entry["volume_change"]
    category = _chances(by_volume, entry["samples"])
    if len(by_volume["possible_within_noise"]) > 1:
        category += f"; within noise: {' or '.join(by_volume['possible_within_noise'])}"
    if entry["area_and_volume_disagree"]:
        category += "; area and volume disagree"
    noise = by_volume["noise_band"]
    known = "-" if change is None else f"{change:+.0%}"
    still = change is not None and abs(change) <= noise
    return [
        f"{entry['volume_before_ml']:.1f} ml",
        _interval(entry["volume_after_ml"], ".1f", "ml"),
        f"{known}, within the noise of ±{noise:.0%}" if still else known,
        category,
    ]


def _area_cells(entry: Mapping[str, Any]) -> list[str]:
    return [
        f"{entry['area_before_mm2']:.0f} mm²" if entry["measurable"] else "not measurable",
        _interval(entry["area_after_mm2"], ".0f", "mm²"),
        _chances(entry["by_area"], entry["samples"]),
    ]


def _interval(value: Mapping[str, float | None], form: str, unit: str) -> str:
    """A mean with its interval, if there are samples enough for one."""
    mean, low, high = (value[key] for key in ("mean", "p10", "p90"))
    return f"{mean:{form}} {unit}" + ("" if low is None else f" ({low:{form}} to {high:{form}})")


def _check(check: Mapping[str, Any]) -> list[str]:
    """Sentences about what the measures say where the answer is known."""
    sentences = [
        f"Overlap of what enhances before treatment with the GTV: Dice {check['gtv_dice']:.2f}. Below "
        f"{check['lowest_gtv_dice']:.2f} nothing that rests on enhancement is shown."
    ]
    still = check["unchanged"]
    if still is not None:
        changes = {"volume": still["volume_change"], "area": still["area_change"]}
        known = [f"{what} {'not known' if change is None else f'{change:+.0%}'}" for what, change in changes.items()]
        categories = f"{still['category_by_volume']} by volume, {still['category_by_area']} by area"
        sentences.append(f"An image in which nothing changed would show: {', '.join(known)}; {categories}.")
    return sentences


def _withheld(measurements: Measurements) -> list[str]:
    """Reasons why measures are not shown, each once, in the order of the classes."""
    reasons: dict[str, None] = {}
    for entry in measurements.record["classes"].values():
        volume, area = entry["withheld"]["volume"], entry["withheld"]["area"]
        if volume:
            reasons[f"Volumes, areas and size categories are withheld. {volume}"] = None
        elif area:
            reasons[f"Areas and the category by area are withheld. {area}"] = None
    return list(reasons)


def _chances(category: Mapping[str, Any], samples: int) -> str:
    """Probabilities; too few samples have none."""
    count = _count(samples)
    if samples < FEWEST_SAMPLES:
        return f"indeterminate, {count}: {' or '.join(category['probabilities'])}"
    text = ", ".join(f"P({name}) = {chance:.0%}" for name, chance in category["probabilities"].items())
    return f"{text}, {count}" + ("; indeterminate" if category["indeterminate"] else "")


def _scores(measurements: Measurements) -> tuple[list[str], list[list[str]]]:
    """Names of the scores, and a row for each class and whoever was scored; empty without a true follow-up."""
    names, rows = [], []
    for entry in measurements.record["classes"].values():
        for who, score in entry.get("score", {}).items():
            names = [name.replace("_", " ") for name in score]
            rows.append([entry["class"], who.replace("_", " "), *map(_score, score.values())])
    return names, rows


def _score(value: float | None) -> str:
    return _WITHHELD if value is None else f"{value:.3f}"


def _count(samples: int) -> str:
    return f"{samples} sample{'s' if samples > 1 else ''}"


def _percent(change: float | None) -> str:
    return "change not known" if change is None else f"{change:+.0%}"


def planning_words(measurements: Measurements | None) -> dict[str, Any] | None:
    """What margins, contours and doses cover of what is predicted to enhance; None if that is not known."""
    planning = (measurements.record if measurements else {}).get("planning")
    if measurements is None or not planning:
        return None
    shown: dict[str, Any] = {
        f"predicted, class {entry['class']}": entry.get("planning") for entry in _classes(measurements)
    }
    shown |= {"what enhances already": planning["copy_of_the_input"], "true follow-up": planning.get("true_follow_up")}
    shown = {who: entry for who, entry in shown.items() if entry}
    parts = list(planning["copy_of_the_input"]["margin_that_covers_mm"])
    names = list(planning["copy_of_the_input"].get("contours", ()))
    doses = any("dose" in entry for entry in shown.values())
    header = ["", "volume", *(f"margin for {part}" for part in parts), *(f"inside {name}" for name in names)]
    rows = []
    for who, entry in shown.items():
        interval = entry.get("interval", {})
        cells = [
            _margin(entry["margin_that_covers_mm"][part], interval.get(part), entry["volume_ml"]) for part in parts
        ]
        inside = [_part(entry["contours"][name]) for name in names]
        least = [_gray(entry["dose"]["dose_that_covers_gy"]["95%"])] if doses else []
        rows.append([who, f"{entry['volume_ml']:.1f} ml", *cells, *inside, *least])
    return {"header": header + (["95 % gets at least"] if doses else []), "rows": rows, "limits": planning["limits"]}


def _classes(measurements: Measurements) -> list[Mapping[str, Any]]:
    return list(measurements.record["classes"].values())


def _margin(margin: float | None, interval: Mapping[str, float | None] | None, volume: float) -> str:
    if volume <= 0:
        return "nothing to cover"
    text = "no margin" if margin is None else f"{margin:.1f} mm"
    if interval is None:
        return text
    low, high = ("none" if value is None else f"{value:.1f}" for value in interval.values())
    return f"{text} ({low} to {high})"


def _part(part: float | None) -> str:
    return "–" if part is None else f"{part:.0%}"


def _gray(dose: float | None) -> str:
    return "–" if dose is None else f"{dose:.1f} Gy"
