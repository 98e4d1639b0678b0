"""Turn Lightning checkpoints of the authors' released code into a model bundle; see docs/import-checkpoints.md."""

from .bundle_writer import ImportRequest, import_checkpoint
from .classes import ClassStatement

__all__ = ["ClassStatement", "ImportRequest", "import_checkpoint"]
