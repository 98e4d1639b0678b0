"""The configurations of the paper's Table 1, and one network for both class schemes."""

from dataclasses import dataclass

from GBMResponseCore.errors import OptionError

CLASS_NAMES = {"2-class": ("short", "long"), "4-class": ("quartile1", "quartile2", "quartile3", "quartile4")}


@dataclass(frozen=True)
class ModelConfiguration:
    """What a diffusion model is told about survival.

    :param schemes: names of its class schemes; none for a model without class.
    :param labels: `true` trains with the class of the true survival, `predicted` with the classifier's.
    """

    name: str
    schemes: tuple[str, ...]
    labels: str = "true"

    @property
    def title(self) -> str:
        """As a row of the table: `no class`, `predicted 2-class`, `2-class`."""
        return self.name.replace("no-", "no ").replace("predicted-", "predicted ")

    @property
    def evaluated_scheme(self) -> str | None:
        return self.schemes[0] if self.schemes else None

    @property
    def class_source(self) -> str:
        """Where the class comes from when the model is evaluated: `true`, `predicted` or `none`."""
        return self.labels if self.schemes else "none"


TABLE_1 = (
    ModelConfiguration("no-class", ()),
    ModelConfiguration("predicted-2-class", ("2-class",), "predicted"),
    ModelConfiguration("2-class", ("2-class",)),
    ModelConfiguration("4-class", ("4-class",)),
)
BOTH_SCHEMES = ModelConfiguration("2-and-4-class", ("2-class", "4-class"))
_ALL = {configuration.name: configuration for configuration in (*TABLE_1, BOTH_SCHEMES)}


def model_configuration(name: str) -> ModelConfiguration:
    """:raises OptionError: there is no such configuration."""
    if name not in _ALL:
        raise OptionError(f"There is no configuration '{name}'.", f"Choose one of: {', '.join(_ALL)}.")
    return _ALL[name]
