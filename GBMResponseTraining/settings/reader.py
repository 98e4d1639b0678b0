"""Configurations from YAML: presets, files and `--set` overrides become checked dataclasses."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from GBMResponseCore.files import check_file

from .configuration import PHASED_NETWORKS, Configuration, Phase, plain
from .networks import ConfigurationError

T = TypeVar("T")

PRESET_FOLDER = Path(__file__).resolve().parents[1] / "configs"


def presets() -> list[str]:
    """Names of the presets."""
    return sorted(path.stem for path in PRESET_FOLDER.glob("*.yaml"))


def load_configuration(source: str | Path, overrides: Sequence[str] = ()) -> Configuration:
    """Read a configuration.

    :param source: name of a preset, or a YAML file.
    :param overrides: `dotted.key=value` with YAML values, for example `diffusion.training.epochs=50`.
    :raises ConfigurationError: for an unknown key, a missing one, or a value of the wrong kind or range.
    """
    import yaml

    path = PRESET_FOLDER / f"{source}.yaml" if str(source) in presets() else Path(source)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"There is no preset '{source}'.", f"Choose {', '.join(presets())}, or a YAML file.")
    try:
        values = yaml.safe_load(check_file(path, "configuration").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path.name} is not valid YAML: {error}.") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path.name} is not a mapping of settings.")
    return parse_configuration(with_overrides(values, overrides))


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Values of a configuration with those that overrides replace; see :func:`load_configuration`."""
    # Places that a YAML alias joins get values of their own, so that an override changes the one that it names.
    changed: dict[str, Any] = plain(values)
    for override in overrides:
        _override(changed, override)
    return changed


def parse_configuration(values: Mapping[str, Any]) -> Configuration:
    """:raises ConfigurationError: see :func:`load_configuration`."""
    values = dict(values)
    phases = values.pop("phases", [])
    configuration = _build(Configuration, values, "")
    if not isinstance(phases, (list, tuple)):
        raise ConfigurationError(f"phases must be a list, not {phases!r}.")
    built = tuple(_phase(configuration, phase, f"phases[{place}]") for place, phase in enumerate(phases))
    return dataclasses.replace(configuration, phases=built)


def _phase(configuration: Configuration, values: Any, where: str) -> Phase:
    """A phase whose section has the values of the configuration where it states none."""
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where} must be a mapping, not {values!r}.")
    network, stated = values.get("network"), values.get("settings", {})
    if network not in PHASED_NETWORKS:
        raise ConfigurationError(f"{where}.network is {network!r}, but must be one of {', '.join(PHASED_NETWORKS)}.")
    if not isinstance(stated, Mapping):
        raise ConfigurationError(f"{where}.settings must be a mapping, not {stated!r}.")
    base = getattr(configuration, network)
    section = _merged(plain(dataclasses.asdict(base)), stated)
    return _build(Phase, {**values, "settings": _build(type(base), section, f"{where}.settings")}, where)


def _merged(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values, those of nested mappings one by one."""
    for key, value in changes.items():
        both = isinstance(values.get(key), dict) and isinstance(value, Mapping)
        values[key] = _merged(values[key], value) if both else value
        _replace_length(values, key)
    return values


def _override(values: dict[str, Any], override: str) -> None:
    import yaml

    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigurationError(f"'{override}' is not of the form key=value.")
    *parents, last = key.strip().split(".")
    place: Any = values
    for parent in parents:
        place = place.setdefault(parent, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ConfigurationError(f"'{key}' is not a setting.")
    place[last] = yaml.safe_load(text)
    _replace_length(place, last)


def _replace_length(training: dict[str, Any], stated: str) -> None:
    """Steps replace epochs and the other way round."""
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if stated == one and training[stated] is not None:
            training.pop(other, None)


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where or 'The configuration'} must be a mapping, not {values!r}.")
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(cast(Any, kind))}
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise ConfigurationError(f"Unknown setting {_join(where, unknown[0])}.", f"Known are {', '.join(fields)}.")
    missing = [
        name
        for name, entry in fields.items()
        if name not in values and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigurationError(f"The setting {_join(where, missing[0])} is missing.")
    arguments = {name: _convert(hints[name], value, _join(where, name)) for name, value in values.items()}
    try:
        return kind(**arguments)
    except ConfigurationError as error:
        if where and where not in error.message:
            raise ConfigurationError(f"{where}: {error.message}") from None
        raise


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check a value against a type hint; YAML's lists become tuples and whole numbers may stand for floats."""
    if dataclasses.is_dataclass(value):
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(entry for entry in arguments if entry is not type(None)), value, where)
    if dataclasses.is_dataclass(hint):
        return _build(cast(Any, hint), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{where} must be a list, not {value!r}.")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ConfigurationError(f"{where} needs {len(kinds)} values, not {len(value)}.")
        return tuple(_convert(kind, entry, where) for kind, entry in zip(kinds, value, strict=True))
    if origin is not None:
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{where} must be a mapping, not {value!r}.")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        # YAML reads 1e-4 without a dot as text.
        try:
            return float(value)
        except ValueError:
            raise ConfigurationError(f"{where} must be a number, not {value!r}.") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigurationError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
