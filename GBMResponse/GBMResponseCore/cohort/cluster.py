"""Workers of a Dask cluster: on this machine one for each device, those of a batch system, or running ones.

Each keeps its model warm and runs one case at a time. The package distributed is optional: the extra `cluster`.
"""

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..errors import ClusterError, GBMResponseError, MissingPackageError, OptionError, ProcessEndedError
from ..inputs.case_table import TableCase
from ..model.environment import search_path, translate_import_errors
from ..run import Runner
from .case_run import Plan, Turn, run_case
from .status import WAITING, failed, write_status
from .tables import Say

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
"""Batch systems, and their classes in dask-jobqueue."""
MOST_ENDS = 3
_DEVICE = "GBMRESPONSE_DEVICE"
_RESOURCE = "device"
_FATAL = "fatal"
_EXTRA = "'gbmresponse[cluster]'"
_YAML = "Give a YAML file, see docs/cluster.md."
_PATIENCE_S = 30.0

_runners: dict[Callable[[], Any], Any] = {}
_stopped: set[str] = set()
_one_at_a_time = threading.Lock()
"""Of a worker's process: its model is no use to two threads at once, nor is there memory for two cases."""


def work(turn: Turn, plan: Plan, make_runner: Callable[[], Any] = Runner) -> dict[str, Any]:
    """Run a case in a worker; returns its status, `fatal` if this worker could run none."""
    with _one_at_a_time:
        if plan.identifier in _stopped:
            return {"status": WAITING}
        options = replace(plan.template.options, device=os.environ.get(_DEVICE, plan.template.options.device))
        plan = replace(plan, template=replace(plan.template, options=options))
        if make_runner not in _runners:
            _runners[make_runner] = make_runner()
        try:
            _runners[make_runner].basis(plan.template)
        except GBMResponseError as error:
            return failed(error) | {"status": _FATAL}
        _use_cores()
        return run_case(turn, plan, _runners[make_runner])


def stop(identifier: str) -> None:
    """Let this worker begin no case of a run any more."""
    _stopped.add(identifier)


class DaskWorkers:
    """The workers of a cluster, see `drive.Workers`.

    :param most: workers that are expected; cases are given to twice as many, so that none is idle.
    :param make_runner: of each worker.
    """

    def __init__(self, client: "Client", plan: Plan, most: int, make_runner: Callable[[], Any] = Runner) -> None:
        self._client, self._plan, self._most, self._make_runner = client, plan, most, make_runner
        self._back: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._given: dict[str, tuple[Turn, Future]] = {}
        self._count = 0
        self._resources = {_RESOURCE: 1} if self._have_resource() else None

    @property
    def running(self) -> int:
        """See `Workers`."""
        return len(self._given)

    def has_room(self) -> bool:
        """See `Workers`."""
        return len(self._given) < 2 * self._most

    def give(self, turn: Turn) -> None:
        """See `Workers`; earlier cases come first, and one whose worker is lost goes to another."""
        self._count += 1
        future = self._client.submit(
            work, turn, self._plan, self._make_runner,
            key=f"{turn.case.identifier}-{uuid4().hex[:8]}", priority=-self._count, retries=MOST_ENDS,
            resources=self._resources, pure=False,
        )  # fmt: skip
        self._given[future.key] = turn, future
        future.add_done_callback(self._back.put)

    def take(self, seconds: float) -> list[tuple[TableCase, dict[str, Any]]]:
        """See `Workers`."""
        futures = []
        with suppress(queue.Empty):
            futures.append(self._back.get(timeout=seconds))
            while True:
                futures.append(self._back.get_nowait())
        found = []
        for future in futures:
            turn, _ = self._given.pop(future.key)
            status = self._status(turn, future)
            if status["status"] == _FATAL:
                error = GBMResponseError(status["message"], status["remedy"])
                error.code, error.exit_code = status["error_code"], status["exit_code"]
                raise error
            found.append((turn.case, status))
        return found

    def drain(self) -> bool:
        """See `Workers`."""
        self._client.run(stop, self._plan.identifier)
        return True

    def _status(self, turn: Turn, future: "Future") -> dict[str, Any]:
        """:raises ClusterError: the case was not run, and no other will be."""
        from distributed import KilledWorker

        if future.status == "finished":
            return future.result()
        if future.status == "cancelled":
            raise ClusterError("The scheduler of the cluster is gone.")
        error = future.exception()
        if isinstance(error, KilledWorker):
            sentence = "All workers that worked on this case ended in the midst of it."
            return write_status(self._plan.out / turn.case.identifier, failed(ProcessEndedError(sentence)))
        message = f"A worker cannot run cases ({type(error).__name__}: {error})."
        raise ClusterError(message, "Install the same version of GBMResponse for all workers.") from error

    def _have_resource(self) -> bool:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return any(_RESOURCE in worker["resources"] for worker in workers)


@contextmanager
def connected(
    scheduler: str, devices: Sequence[str], configuration: Path | None, most: int | None, say: Say
) -> Iterator[tuple["Client", int]]:
    """A client of a cluster, which is started if it is not there yet, and ended with it; and how many workers it has.

    :param scheduler: `local`, the address of a scheduler, or a batch system.
    :param devices: of this machine, one worker for each.
    :param configuration: YAML file of Dask settings, those of the batch system among them.
    :param most: workers of a batch system.
    :raises MissingPackageError: Dask is not installed.
    :raises OptionError: there is no such scheduler, or its settings lack something.
    :raises ClusterError: the scheduler does not answer.
    """
    try:
        import dask
        from distributed import Client
    except ModuleNotFoundError as error:
        raise MissingPackageError("distributed", "run cases in several processes", _EXTRA) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # that workers come and go is no news here
    own = {
        "distributed.scheduler.allowed-failures": 100,
        "distributed.logging.distributed": "critical",
        # A worker's process sets up its words before it is told anything but this.
        "distributed.nanny.pre-spawn-environ.DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    }
    if scheduler in QUEUES:
        _job_queues()  # brings defaults, which come before the settings
    settings = dask.config.merge(dask.config.config, _settings(configuration))
    with dask.config.set(settings), dask.config.set(own):
        if scheduler == LOCAL:
            opened = _local(devices)
        elif scheduler in QUEUES:
            opened = _queued(scheduler, most or 1)
        elif "://" in scheduler:
            opened = _running(scheduler)
        else:
            raise OptionError(f"Unknown scheduler {scheduler!r}.", f"Use local, an address, {', '.join(QUEUES)}.")
        with opened as (cluster, expected):
            try:
                client = Client(cluster, timeout=_PATIENCE_S, set_as_default=False)
            except (OSError, ValueError) as error:
                message = f"The scheduler {scheduler} does not answer ({type(error).__name__})."
                raise ClusterError(message) from error
            with client:
                say(_dashboard(client, is_here=not isinstance(cluster, str)))
                yield client, expected or max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


def _dashboard(client: "Client", *, is_here: bool) -> str:
    """Where to look on, in words.

    :param is_here: the scheduler is a part of this process, so what it lacks can be installed here.
    """
    if is_here and find_spec("bokeh") is None:
        return f"Dashboard: none without the package bokeh. To see one: pip install {_EXTRA}"
    return f"Dashboard: {client.dashboard_link}"


def every_device() -> list[str]:
    """The graphics cards of this machine; `auto`, if there are none or one."""
    with translate_import_errors():
        import torch

    count = torch.cuda.device_count()
    return [f"cuda:{number}" for number in range(count)] if count > 1 else ["auto"]


@contextmanager
def _local(devices: Sequence[str]) -> Iterator[tuple[Any, int]]:
    """A cluster of this machine that ends with this process; nobody else may speak to it."""
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.security import Security

    security = Security.temporary()
    shared = sum(not device.startswith(("cuda", "mps")) for device in devices)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(wanted) if wanted.isdecimal() else max(1, len(_cores()) // max(1, shared))
    with TemporaryDirectory(prefix="gbmresponse-", ignore_cleanup_errors=True) as scratch:
        workers = {}
        for number, device in enumerate(devices):
            options = {
                "nthreads": threads, "resources": {_RESOURCE: 1}, "memory_limit": 0, "security": security,
                "env": {_DEVICE: device, "PYTHONPATH": search_path()}, "local_directory": scratch,
                "host": "127.0.0.1", "dashboard": False,
            }  # fmt: skip
            workers[f"{number}-{device}"] = {"cls": Nanny, "options": options}
        here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "security": security}
        scheduler = {"cls": Scheduler, "options": here | {"protocol": "tls://"}}
        with SpecCluster(workers, scheduler, security=security, silence_logs=logging.CRITICAL) as cluster:
            yield cluster, len(devices)


@contextmanager
def _queued(system: str, most: int) -> Iterator[tuple[Any, int]]:
    """A cluster of a batch system: as many jobs as there is work for; one that ends too early is replaced.

    :raises OptionError: the settings lack something.
    """
    import dask

    known = f"jobqueue.{system}"
    prologue = [*(dask.config.get(f"{known}.job-script-prologue", None) or ()), f"export PYTHONPATH='{search_path()}'"]
    arguments = [*(dask.config.get(f"{known}.worker-extra-args", None) or ()), "--resources", f"{_RESOURCE}=1"]
    try:
        cluster = getattr(_job_queues(), QUEUES[system])(
            python=sys.executable, processes=1, job_script_prologue=prologue, worker_extra_args=arguments
        )
    except (ValueError, TypeError) as error:
        remedy = "Give the settings of your cluster by --cluster-config, see docs/cluster.md."
        raise OptionError(f"The settings for {system} are not complete ({error}).", remedy) from error
    with cluster:
        cluster.adapt(minimum=min(1, most), maximum=most, interval="2s", wait_count=5)
        yield cluster, most


def _job_queues() -> Any:
    """:raises MissingPackageError: dask-jobqueue is not installed."""
    try:
        import dask_jobqueue
    except ModuleNotFoundError as error:
        raise MissingPackageError("dask-jobqueue", "give cases to a batch system", _EXTRA) from error
    return dask_jobqueue


@contextmanager
def _running(address: str) -> Iterator[tuple[str, int]]:
    yield address, 0


def _settings(path: Path | None) -> Mapping[str, Any]:
    """:raises OptionError: the file cannot be read, or holds no settings."""
    if path is None:
        return {}
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OptionError(f"The settings {path.name} cannot be read.", _YAML) from error
    if not isinstance(content, dict):
        raise OptionError(f"The settings {path.name} are none.", _YAML)
    return content


def _cores() -> Sequence[int]:
    """The cores that this process may use."""
    return list(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _use_cores() -> None:
    """Let torch use the cores that Dask has given to this worker, which runs one case at a time."""
    from distributed import get_worker

    torch = sys.modules.get("torch")
    with suppress(ValueError):  # in no worker
        count = get_worker().state.nthreads
        if torch is not None:
            torch.set_num_threads(count)
