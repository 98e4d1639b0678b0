"""Where attacks happen: two patients, a model, their undisturbed results, and a judge of what an attack left."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import phantoms
import SimpleITK as sitk
from GBMResponseCore import errors
from GBMResponseCore.request import PredictionOptions
from tiny_bundle import write_tiny_bundle
from worker_session import CORE_PARENT

ROOT = Path(__file__).resolve().parents[2]
PATIENTS = ("anna", "bela")
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")
PLAIN = ("--no-montage", "--no-report")
UNFINISHED = (".unfinished", ".preview", ".lock", ".running", ".staged-", "status.json")
"""What a run that did not finish may leave: finished slices, and what the next run sweeps."""
TYPED = {
    value.exit_code
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.GBMResponseError) and value is not errors.GBMResponseError
}


@dataclass
class Tally:
    """What came out of the runs of one attack.

    :param wrong_grid: results on another grid than the input's.
    :param mixed: results that are not those of this patient and these options.
    :param half_files: files under their final names that are not complete, and results beside a failure.
    :param untyped: ends without a sentence: tracebacks, signals nobody sent, exit codes that no error has.
    :param lost: cases that the same command, run again undisturbed, does not bring to the undisturbed result.
    """

    attack: str
    runs: int = 0
    hit: int = 0
    wrong_grid: int = 0
    mixed: int = 0
    half_files: int = 0
    untyped: int = 0
    lost: int = 0
    notes: list[str] = field(default_factory=list)

    def found(self) -> int:
        """Number of findings."""
        return self.wrong_grid + self.mixed + self.half_files + self.untyped + self.lost

    def count(self, kind: str, note: str) -> None:
        """Count a finding."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.notes.append(f"{self.attack}: {kind}: {note}")

    @staticmethod
    def table(tallies: Iterable["Tally"]) -> str:
        """One line for each attack."""
        columns = ("attack", "runs", "hit", "wrong_grid", "mixed", "half_files", "untyped", "lost")
        names = ("attack", "runs", "hit", "wrong grid", "mixed", "half files", "untyped", "lost")
        lines = ["".join(f"{name:<44}" if k == 0 else f"{name:>11}" for k, name in enumerate(names))]
        for tally in tallies:
            cells = [str(getattr(tally, column)) for column in columns]
            lines.append("".join(f"{cell:<44}" if k == 0 else f"{cell:>11}" for k, cell in enumerate(cells)))
        return "\n".join(lines)


@dataclass(frozen=True)
class End:
    """How a command ended: its exit code (negative: the signal that ended it) and what it said."""

    code: int
    said: str


class Stand:
    """Folder, patients, model, expected voxels, and the process that forks victims.

    :param samples: of each prediction; fewer are quicker.
    """

    def __init__(self, samples: int = PredictionOptions().sample_count) -> None:
        self.samples = samples
        # Not in pytest's folder, which a victim without rights may not enter.
        self._temporary = tempfile.TemporaryDirectory(prefix="gbmresponse-faults-")
        self.folder = Path(self._temporary.name).resolve()
        self.folder.chmod(0o755)
        self.bundle = write_tiny_bundle(self.folder / "bundle")
        for number, name in enumerate(PATIENTS):
            # Their files differ in the voxels alone.
            image = phantoms.head((60, 64, 8), (0.95, 0.95, 6.0), center=phantoms.GTV_CENTER) + 40 * number
            sitk.WriteImage(image, str(self.image(name)))
            sitk.WriteImage(
                phantoms.gtv((60, 64, 8), (0.95, 0.95, 6.0), center=phantoms.GTV_CENTER), str(self.gtv(name))
            )
        with open(self.folder / "victims.txt", "wb") as log:
            self._victims = subprocess.Popen(
                [sys.executable, "-m", "faults.victim"],
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._ended: dict[str, int] = {}
        self._counted: dict[tuple[str, ...], int] = {}
        self.expected: dict[str, dict[str, np.ndarray]] = {}
        for name in PATIENTS:
            out = self.new_folder("undisturbed")
            end = self.run(self.command(name, out))
            if end.code != 0:
                raise RuntimeError(f"the undisturbed run failed: {end}")
            self.expected[name] = {_stem(path): _voxels(path) for path in out.glob("*.nii.gz")}

    def __enter__(self) -> "Stand":
        return self

    def __exit__(self, *exception: object) -> None:
        self._victims.kill()
        self._victims.wait()
        self._temporary.cleanup()

    @staticmethod
    def environment(**changes: str | None) -> dict[str, str]:
        """Variables for a process; None takes one away."""
        path = os.pathsep.join(map(str, [CORE_PARENT, ROOT, ROOT / "Testing"]))
        variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **changes}
        return {name: value for name, value in variables.items() if value is not None}

    def image(self, patient: str) -> Path:
        """The patient's image."""
        return self.folder / f"{patient}.nii.gz"

    def gtv(self, patient: str) -> Path:
        """The patient's GTV."""
        return self.folder / f"{patient}_gtv.nrrd"

    def new_folder(self, name: str) -> Path:
        """A path for an output folder that is not there yet, in a folder of its own."""
        parent = self.folder / f"{name}-{uuid4().hex[:8]}"
        parent.mkdir()
        parent.chmod(0o777)
        return parent / "out"

    def command(self, patient: str, out: Path, *options: str) -> list[str]:
        """Arguments of `gbmresponse` that predict a patient."""
        inputs = ["predict", "--image", self.image(patient), "--gtv", self.gtv(patient), "--out", out]
        return [str(part) for part in inputs] + self.options() + ["--device", "cpu", *options]

    def options(self) -> list[str]:
        """Options of predict and cohort; one slice at once, so that there are many points to be hit at."""
        chosen = ["--bundle", str(self.bundle), "--precision", "float32", "--batch-size", "1", "--seed", "4"]
        return [*chosen, "--samples", str(self.samples), *PLAIN]

    def start(self, argv: Sequence[str], **order: Any) -> tuple[str, int, Path]:
        """Start a victim; returns what :meth:`wait` needs, with the process id in the middle."""
        identifier = uuid4().hex
        said = self.folder / f"{identifier}.txt"
        said.touch()
        said.chmod(0o666)
        orders = {"id": identifier, "argv": list(argv), "stderr": str(said), **order}
        self._order(orders)
        return identifier, json.loads(self._answer())["started"], said

    def wait(self, started: tuple[str, int, Path]) -> End:
        """Wait until a victim has ended."""
        identifier, _pid, said = started
        if identifier not in self._ended:
            self._order({"wait": identifier})
        while identifier not in self._ended:
            answer = json.loads(self._answer())
            self._ended[answer["id"]] = answer["code"]
        return End(self._ended[identifier], said.read_text("utf-8", "replace"))

    def run(self, argv: Sequence[str], **order: Any) -> End:
        """Run a command in a victim."""
        return self.wait(self.start(argv, **order))

    def run_alone(self, argv: Sequence[str], shell: str = "", **environment: str | None) -> End:
        """Run a command in a real process of its own, for what a fork cannot show; `shell` follows the command."""
        if shell:
            script = f'set -o pipefail; "$@" {shell}'
            argv = ["bash", "-c", script, "bash", sys.executable, "-m", "GBMResponseCore", *argv]
        else:
            argv = [sys.executable, "-m", "GBMResponseCore", *argv]
        variables = self.environment(**environment)
        done = subprocess.run(argv, env=variables, capture_output=True, check=False, cwd=self.folder)
        return End(done.returncode, done.stderr.decode("utf-8", "replace"))

    def operations(self, argv: Sequence[str], out: Path) -> int:
        """How many file operations in its output folder an undisturbed command takes; each command is counted once."""
        key = tuple(part.replace(str(out), "") for part in argv)
        if key in self._counted:
            return self._counted[key]
        counter = self.folder / f"{uuid4().hex}.count"
        end = self.run(argv, action="none", watched=str(out), point=-1, counter=str(counter))
        if end.code != 0:
            raise RuntimeError(f"the undisturbed run failed: {end}")
        self._counted[key] = int(counter.read_text("ascii"))
        return self._counted[key]

    def judge(
        self, tally: Tally, out: Path, patient: str, end: End, *, sent: int | None = None, can_clean: bool = True,
        alone: bool = True,
    ) -> None:  # fmt: skip
        """Look at what a run left, and count what is wrong with it.

        :param sent: the signal that the attack sent, which may have ended the process.
        :param can_clean: the run could still remove its temporary files; else the next one does, see `judge_rerun`.
        :param alone: the command was about this patient alone; else this one may be done although it was stopped.
        """
        tally.runs += 1
        ended_by = -end.code if end.code < 0 else None
        tally.hit += end.code != 0
        if ended_by not in (None, sent) or (end.code > 0 and end.code not in TYPED) or "Traceback" in end.said:
            tally.count("untyped", f"exit {end.code}: {end.said[-600:]}")
        if end.code == 0:
            self._judge_result(tally, out, patient, clean=can_clean)
        elif out.is_dir():
            # It may have ended between two files: then those there are whole and of this patient, without provenance.
            left = sorted(path.name for path in out.iterdir() if not path.name.startswith(UNFINISHED))
            partial = [name for name in left if name.startswith(".")]
            if end.code > 0 and partial and can_clean:
                tally.count("half_files", f"exit {end.code}, but there are {partial}")
            stopped = end.code > 0 and sent is not None  # nothing was wrong with the folder
            if stopped and left and (alone or "provenance.json" not in left):
                tally.count("half_files", f"exit {end.code}, but beside what is unfinished there are {left}")
            if "provenance.json" in left:
                self._judge_result(tally, out, patient, clean=can_clean and end.code > 0)
            else:
                self._judge_volumes(tally, out, patient)

    def judge_rerun(self, tally: Tally, out: Path, patient: str, argv: Sequence[str]) -> None:
        """Run the command again, undisturbed: the result must be that of a run that was never disturbed."""
        end = self.run(argv)
        before = tally.found()
        if end.code == 0:
            self._judge_result(tally, out, patient)
        if end.code != 0 or tally.found() > before:
            tally.count("lost", f"the rerun ended with {end.code}: {end.said[-300:]}")

    def _judge_result(self, tally: Tally, out: Path, patient: str, clean: bool = True) -> None:
        """A finished result: everything that its provenance lists, whole, and nothing else.

        :param clean: False if the process was killed and could not tidy up.
        """
        try:
            record = json.loads((out / "provenance.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            tally.count("half_files", f"no provenance: {error}")
            return
        missing = [name for name in record["files"] if not (out / name).is_file() or not (out / name).stat().st_size]
        if missing or not any(name.startswith("predicted.") for name in record["files"]):
            tally.count("half_files", f"listed and not there: {missing}")
        hidden = [path.name for path in out.iterdir() if path.name.startswith(".")]
        if hidden and clean:
            tally.count("half_files", f"left beside a result: {hidden}")
        self._judge_volumes(tally, out, patient)

    def _judge_volumes(self, tally: Tally, out: Path, patient: str) -> None:
        given = sitk.ReadImage(str(self.image(patient)))
        for path in sorted(path for path in out.iterdir() if path.name.lower().endswith(VOLUMES)):
            if path.name.startswith("."):
                continue
            try:
                volume = sitk.ReadImage(str(path))
                whole = _is_whole(path)
            except RuntimeError as error:
                tally.count("half_files", f"{path.name}: {error}")
                continue
            if not whole:
                tally.count("half_files", f"{path.name} is cut off")
            elif not all(
                np.allclose(getattr(volume, name)(), getattr(given, name)(), atol=1e-5)
                for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")
            ):
                tally.count("wrong_grid", path.name)
            elif not np.array_equal(sitk.GetArrayViewFromImage(volume), self.expected[patient].get(_stem(path))):
                tally.count("mixed", f"{path.name} is not that of the undisturbed result of {patient}")

    def _order(self, order: dict[str, Any]) -> None:
        assert self._victims.stdin is not None
        self._victims.stdin.write(json.dumps(order) + "\n")
        self._victims.stdin.flush()

    def _answer(self) -> str:
        assert self._victims.stdout is not None
        line = self._victims.stdout.readline()
        if not line:
            raise RuntimeError((self.folder / "victims.txt").read_text("utf-8", "replace"))
        return line


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a victim that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _is_whole(path: Path) -> bool:
    """ITK fills what is missing of a gzip file with 0, so its checksum is asked here."""
    import gzip
    import zlib

    if path.suffix != ".gz":
        return True
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True
