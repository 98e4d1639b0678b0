"""What is shown when something could not be done."""


class Failure(Exception):
    """An expected failure: one sentence that says what is wrong and one that says what to do.

    :param code: short constant for programs; the engine's own code when the engine reported it.
    :param details: technical text for the log, not shown in the panel.
    """

    def __init__(self, code: str, message: str, remedy: str = "", details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()
