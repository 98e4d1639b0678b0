"""Registry of widget doubles: what stands in for qMRML and ctk widgets, and how their properties are declared."""

from PySide6.QtCore import Property

DOUBLES = {}  # C++ class name -> Python class


def double(cppName: str, **signals: str):
    """Register a widget class under its C++ name; signals give, by Python name, the C++ signatures it emits.

    Every property gets its setX() method, as the C++ class has one.
    """

    def register(cls):
        cls.cppName = cppName
        cls.cppSignals = {signature: name for name, signature in signals.items()}
        for name, value in list(vars(cls).items()):
            setter = f"set{name[0].upper()}{name[1:]}"
            if isinstance(value, Property) and value.fset is not None and setter not in vars(cls):
                setattr(cls, setter, value.fset)
        DOUBLES[cppName] = cls
        return cls

    return register


def stored(cppType, name: str, default, changed: str = ""):
    """Return a property that remembers its value; `changed` names a method to call after a write."""

    def read(self):
        return self.__dict__.get("_" + name, default)

    def write(self, value):
        self.__dict__["_" + name] = value
        if changed:
            getattr(self, changed)()

    return Property(cppType, read, write)
