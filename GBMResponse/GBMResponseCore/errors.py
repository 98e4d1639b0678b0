"""Typed errors: every failure a user can cause has a code, a sentence, a remedy and its own exit code."""


class GBMResponseError(Exception):
    """A failure without a kind of its own; the base of all others.

    :param message: one sentence that says what is wrong.
    :param remedy: one sentence that says what to do; the class default is used when omitted.
    """

    code = "error"
    exit_code = 1
    remedy = "See the log for details."

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy or type(self).remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class MissingFileError(GBMResponseError):
    """A file that was named does not exist, or is a folder."""

    code = "missing-file"
    exit_code = 10
    remedy = "Check the path."


class EmptyFileError(GBMResponseError):
    """A file has no content."""

    code = "empty-file"
    exit_code = 11
    remedy = "Export or download the file again: it has no content."


class UnreadableFileError(GBMResponseError):
    """A file is no volume of a known format, or it is cut off, damaged or contradicts itself."""

    code = "unreadable-file"
    exit_code = 12
    remedy = "Give a NIfTI, NRRD or MetaImage volume that opens in 3D Slicer."


class ImageDimensionError(GBMResponseError):
    """The image or the GTV is a single slice, or a series of volumes."""

    code = "image-dimension"
    exit_code = 13
    remedy = "Give one 3-D volume: extract a single frame of a time series first."


class ColorImageError(GBMResponseError):
    """The image or the GTV has several values in each voxel."""

    code = "color-image"
    exit_code = 14
    remedy = "Give the original grayscale MRI, not a screenshot or a color-coded map."


class NonFiniteImageError(GBMResponseError):
    """The image or the GTV has voxels that are NaN or infinite."""

    code = "non-finite-image"
    exit_code = 15
    remedy = "Replace NaN and infinite voxels, for example by 0, or export the volume again."


class ConstantImageError(GBMResponseError):
    """All voxels of the image have one value."""

    code = "constant-image"
    exit_code = 16
    remedy = "Choose the T1-Gd volume: this one has no contrast."


class NotMRError(GBMResponseError):
    """The image has values like a CT, or hardly any gray levels, as a labelmap."""

    code = "not-mr"
    exit_code = 17
    remedy = "Choose the T1-Gd MRI: this looks like a CT or another modality in physical units."


class SmallImageError(GBMResponseError):
    """The slices of the image have fewer than 32 x 32 voxels."""

    code = "small-image"
    exit_code = 18
    remedy = "Choose a whole-head volume: in-plane it must have at least 32 x 32 voxels."


class EmptyGTVError(GBMResponseError):
    """The GTV has no voxels."""

    code = "empty-gtv"
    exit_code = 19
    remedy = "Draw the GTV, or choose the segment that holds it."


class NoOverlapError(GBMResponseError):
    """The GTV lies outside the image, or outside the field of view around the head."""

    code = "no-overlap"
    exit_code = 20
    remedy = "Check that image and GTV belong to the same patient and share one coordinate system."


class OutputFolderError(GBMResponseError):
    """The output folder cannot be written to, the disk is full, or another run uses the folder."""

    code = "output-folder"
    exit_code = 21
    remedy = "Choose a folder that exists or can be created, with write permission and free space."


class NotAMaskError(GBMResponseError):
    """The GTV has so many values that it is an image and no mask."""

    code = "not-a-mask"
    exit_code = 22
    remedy = "Choose the GTV's labelmap: this looks like an image."


class CaseTableError(GBMResponseError):
    """The table of a cohort is not valid."""

    code = "case-table"
    exit_code = 23
    remedy = "See docs/batch.md for the columns."


class GridMismatchError(GBMResponseError):
    """Images to be measured together lie on different grids."""

    code = "grid-mismatch"
    exit_code = 24
    remedy = "Resample one image onto the grid of the other first."


class ProcessEndedError(GBMResponseError):
    """The process that worked on a case of a cohort ended in the midst of it, for example by a crash of a library."""

    code = "process-ended"
    exit_code = 25
    remedy = (
        "The same command tries it again. If that ends the process, too, its files may be damaged: export them again."
    )


class GeometryError(GBMResponseError):
    """A header contradicts itself or cannot be that of a head, so that nothing can be placed by it."""

    code = "geometry"
    exit_code = 26
    remedy = "Look at the volume in 3D Slicer, correct its spacing and orientation, and save it again."


class BundleError(GBMResponseError):
    """The model bundle is missing, incomplete or not valid."""

    code = "bundle"
    exit_code = 30
    remedy = "Choose a folder that contains bundle.json, or install the bundle again."


class BundleSchemaError(BundleError):
    """The bundle was made for another version, or a field of its bundle.json is missing or impossible."""

    code = "bundle-schema"
    exit_code = 31
    remedy = "Update GBMResponse, or use a bundle made for this version."


class BundleIntegrityError(BundleError):
    """A file of the bundle differs from the size or SHA-256 in its bundle.json."""

    code = "bundle-integrity"
    exit_code = 32
    remedy = "The file was changed or damaged: install the bundle again."


class GuidanceError(GBMResponseError):
    """A guidance scale other than 1 was asked of a model without a trained null class."""

    code = "guidance"
    exit_code = 33
    remedy = "Use guidance scale 1, or a bundle trained with label dropout."


class OptionError(GBMResponseError):
    """An option is unknown, impossible, or does not fit the model or the other options."""

    code = "option"
    exit_code = 34
    remedy = "See --help for the values allowed."


class DeviceError(GBMResponseError):
    """The device does not exist on this machine."""

    code = "device"
    exit_code = 35
    remedy = "Use --device cpu."


class ProtocolError(GBMResponseError):
    """Caller and worker are of different versions."""

    code = "protocol"
    exit_code = 36
    remedy = "Update the extension, so that the panel and the worker are of one version, and restart."


class NothingPredictedError(GBMResponseError):
    """A what-if was asked of a worker that has not predicted anything yet, or with another model since."""

    code = "nothing-predicted"
    exit_code = 66
    remedy = "Predict first: a what-if changes the last prediction."


class RequestError(GBMResponseError):
    """The worker got a message that is no valid request."""

    code = "request"
    exit_code = 37
    remedy = "See docs/worker-protocol.md for the fields of each request."


class DependencyError(GBMResponseError):
    """A package that the engine needs is missing or does not load."""

    code = "dependency"
    exit_code = 38
    remedy = "Install the packages of Resources/requirements.txt, and PyTorch with the PyTorch extension."


class MissingPackageError(DependencyError):
    """An optional package that this needs is not installed.

    :param package: its name on PyPI.
    :param purpose: what it is needed for, an infinitive.
    :param install: what follows `pip install`, if not the package's name.
    """

    code = "missing-package"
    exit_code = 60

    def __init__(self, package: str, purpose: str, install: str | None = None) -> None:
        super().__init__(f"The package {package} is needed to {purpose}.", f"Run: pip install {install or package}")


class DicomSeriesError(GBMResponseError):
    """A DICOM series cannot be chosen, or is no complete regular volume."""

    code = "dicom-series"
    exit_code = 63
    remedy = "Export the series again, or name another one in the table."


class StructureSetError(GBMResponseError):
    """No usable GTV in a patient's RTSTRUCT."""

    code = "rtstruct"
    exit_code = 64
    remedy = "Export the RTSTRUCT that was drawn on the T1-Gd series."


class FrameOfReferenceError(StructureSetError):
    """The RTSTRUCT lives in another coordinate system than the image."""

    code = "frame-of-reference"
    exit_code = 65
    remedy = "Export the structures drawn on the T1-Gd series, or resampled to its frame of reference."


class DoseError(GBMResponseError):
    """An RTDOSE cannot be read, is relative, or is no regular volume."""

    code = "rtdose"
    exit_code = 55
    remedy = "Export the dose of the plan again, in Gy."


class DicomServerError(GBMResponseError):
    """A DICOM server does not answer, refuses, or has no such study."""

    code = "dicom-server"
    exit_code = 54
    remedy = "Check the address, the network and the rights; the same command continues."


class ClusterError(GBMResponseError):
    """The scheduler of a cluster does not answer or is gone, or its workers cannot run cases."""

    code = "cluster"
    exit_code = 56
    remedy = "See docs/cluster.md; the same command continues."


class RunFolderError(GBMResponseError):
    """A folder holds no finished run, or one of other inputs or of another model."""

    code = "run-folder"
    exit_code = 68
    remedy = "Name the output folder of a finished run."


class ScoreLogError(GBMResponseError):
    """A score cannot be made or kept: there is no true follow-up, or the file is no log of scores."""

    code = "score-log"
    exit_code = 69
    remedy = "Give the follow-up of this patient, and a log that gbmresponse score has made or a new name."


class OutOfMemoryError(GBMResponseError):
    """The memory of the computer or of its graphics card is too small for this prediction."""

    code = "out-of-memory"
    exit_code = 39
    remedy = "Use batch size 1, or the CPU (--device cpu), or close other programs. Finished slices are kept."


class SomeCasesFailedError(GBMResponseError):
    """A cohort is done, but not every case succeeded."""

    code = "some-cases-failed"
    exit_code = 3
    remedy = "See summary.csv; the same command tries the failed cases again."


class CancelledError(GBMResponseError):
    """The user, or the system, ended the run."""

    code = "cancelled"
    exit_code = 130
    remedy = "Start again when ready."
