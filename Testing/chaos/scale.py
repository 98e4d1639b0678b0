"""Thousands of cases on hundreds of workers that predict nothing: what scheduling, the client and the tables cost."""

import resource
import sys
import time
from pathlib import Path

import SimpleITK as sitk
from fake_runner import FakeRunner
from GBMResponseCore.cohort import cluster
from GBMResponseCore.cohort.case_run import Plan
from GBMResponseCore.cohort.drive import run_cohort
from GBMResponseCore.cohort.tables import Tables
from GBMResponseCore.inputs.case_table import TableCase
from GBMResponseCore.request import PredictionRequest


class _NoLock:
    """Workers are threads of one process here; each is one that may run a case."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


def thousands(folder: Path, count: int, workers: int) -> str:
    """Run so many cases on so many workers, all in this process; returns what was measured."""
    import dask
    from distributed import Client, LocalCluster

    # Two hundred workers in one process are slow to answer.
    dask.config.set({f"distributed.comm.timeouts.{what}": "900s" for what in ("connect", "tcp")})
    folder.mkdir(parents=True)
    image = folder / "good.nrrd"
    sitk.WriteImage(sitk.Image(40, 40, 3, sitk.sitkInt16), str(image))
    cases = [TableCase(f"case{number:05d}", image, image, None, ("auto",)) for number in range(count)]
    plan = Plan(PredictionRequest(image, image, folder / "out"), folder / "out", cluster.MOST_ENDS)
    plan.out.mkdir()
    cluster._one_at_a_time = _NoLock()
    before = _memory_mb()
    shared = {
        "processes": False,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "resources": {"device": 1},
        "memory_limit": 0,
    }
    with LocalCluster(n_workers=workers, **shared) as made, Client(made, set_as_default=False) as client:
        ready = _memory_mb()
        began, used = time.perf_counter(), time.process_time()
        run_cohort(cases, plan, cluster.DaskWorkers(client, plan, workers, FakeRunner), lambda line: None)
        wall, used = time.perf_counter() - began, time.process_time() - used
        after = _memory_mb()
    times = []
    for part in (count // 4, count // 2, count):
        tables = Tables(cases[:part], plan.out)
        began = time.process_time()
        tables.write()
        times.append(f"{part}: {time.process_time() - began:.2f} s")
    alone = _alone(cases[: min(200, count)], plan, folder)
    return (
        f"{count} cases on {workers} workers of one process: {wall:.0f} s; {1000 * used / count:.1f} ms of CPU a "
        f"case, of which {1000 * alone:.1f} ms are the case itself; memory {before:.0f} MB, {ready:.0f} MB with the "
        f"workers, {after:.0f} MB at the end; both tables written in {', '.join(times)}"
    )


def _alone(cases: list[TableCase], plan: Plan, folder: Path) -> float:
    """Seconds of CPU that a case takes without any scheduler."""
    from GBMResponseCore.cohort.case_run import Turn, run_case

    other = Plan(plan.template, folder / "alone", plan.most_ends)
    began = time.process_time()
    for case in cases:
        run_case(Turn(case), other, FakeRunner())
    return (time.process_time() - began) / len(cases)


def _memory_mb() -> float:
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
