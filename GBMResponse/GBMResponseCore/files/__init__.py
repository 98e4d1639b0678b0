"""Files: paths that are checked, writing that never leaves half a file, tables, and what a command leaves behind."""

from .kept import files_kept, make_folder, move, note_removed, note_written, remove_folder, require_files
from .paths import check_file, ensure_output_folder, sha256_of_file
from .tables import plain_cell, read_table, write_csv
from .writing import (
    check_nrrd,
    copy_file,
    discard,
    folder_to_disk,
    is_partial,
    sweep_partial_files,
    write_bytes,
    write_file,
    write_image,
    write_json,
    write_text,
)

__all__ = [
    "check_file",
    "check_nrrd",
    "copy_file",
    "discard",
    "ensure_output_folder",
    "files_kept",
    "folder_to_disk",
    "is_partial",
    "make_folder",
    "move",
    "note_removed",
    "note_written",
    "plain_cell",
    "read_table",
    "remove_folder",
    "require_files",
    "sha256_of_file",
    "sweep_partial_files",
    "write_bytes",
    "write_csv",
    "write_file",
    "write_image",
    "write_json",
    "write_text",
]
