"""Many predictions in one warm worker: memory, file handles and threads must not grow.

python Testing/tools/soak.py [--runs 200] [--cases 3]

The worker is the real process with a bundle of small random networks. Its first 20 predictions may grow it: allocators
and caches fill. From then on its resident memory stays within 3 %. Linux only. Exit code 1 if something grew.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import SimpleITK as sitk

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import phantoms
from tiny_bundle import write_tiny_bundle
from worker_session import WorkerSession

WARM_UP = 20
TOLERANCE = 0.03
SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)


def measure(pid: int) -> dict[str, float]:
    """Resident memory in megabytes, open handles and threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    return {
        "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
        "handles": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def write_case(folder: Path, number: int) -> dict[str, str]:
    """One patient of several: the same head, brighter and with another tumor each."""
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER) + 10 * number
    gtv = phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER, radius_mm=12 + number)
    paths = {"image": folder / f"pre{number}.nrrd", "gtv": folder / f"gtv{number}.nrrd"}
    sitk.WriteImage(image, str(paths["image"]))
    sitk.WriteImage(gtv, str(paths["gtv"]))
    return {name: str(path) for name, path in paths.items()}


def soak(runs: int, cases: int, folder: Path) -> list[dict[str, float]]:
    """Predict `runs` times, in turn for each of the cases and without resuming; what was measured after each."""
    bundle = write_tiny_bundle(folder / "bundle")
    patients = [write_case(folder, number) for number in range(cases)]
    measured = []
    with WorkerSession(folder / "log.txt") as session:
        for run in range(runs):
            message = {"bundle": str(bundle), "device": "cpu", "precision": "float32", "seed": run, "samples": 2}
            out = str(folder / f"out{run % cases}")
            ending = session.predict(id=f"run {run}", **patients[run % cases], **message, out=out)
            if ending["type"] != "result":
                raise RuntimeError(f"prediction {run}: {ending}")
            measured.append(measure(session.process.pid))
            if (run + 1) % 10 == 0:
                print(
                    "{:4d}  {rss_mb:8.1f} MB  {handles:3d} handles  {threads:3d} threads".format(
                        run + 1, **measured[-1]
                    )
                )
                sys.stdout.flush()
    return measured


def growth(measured: list[dict[str, float]], warm_up: int = WARM_UP) -> list[str]:
    """Sentences about what grew after the warm-up."""
    steady = measured[warm_up:]
    ten = max(1, min(10, len(steady) // 2))
    first, last = steady[:ten], steady[-ten:]
    found = []
    before, after = (median(entry["rss_mb"] for entry in part) for part in (first, last))
    print(f"After the first {warm_up}: {before:.1f} -> {after:.1f} MB, {100 * (after / before - 1):+.1f} %.")
    if after > before * (1 + TOLERANCE):
        found.append(f"memory grew from {before:.1f} to {after:.1f} MB")
    for name in ("handles", "threads"):
        if min(entry[name] for entry in last) > max(entry[name] for entry in first):
            found.append(f"{name} grew from {first[0][name]} to {last[-1][name]}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--cases", type=int, default=3, help="patients that take turns")
    arguments = parser.parse_args()
    if arguments.runs < 2 * WARM_UP:
        parser.error(f"at least {2 * WARM_UP} runs")
    with tempfile.TemporaryDirectory(prefix="gbmresponse-soak-") as folder:
        found = growth(soak(arguments.runs, arguments.cases, Path(folder)))
    for sentence in found:
        print(f"FOUND: {sentence}")
    print("Nothing grew." if not found else f"{len(found)} finding(s).")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
