"""The attacks. Each takes a stand and a number of runs, and returns what came out of them."""

import json
import random
import signal
import time
from collections.abc import Callable

from worker_session import WorkerSession

from .stand import PATIENTS, End, Stand, Tally, kill

Attack = Callable[[Stand, int], Tally]
SEED = 12
_MEMORY_BITS = (20, 24, 22, 27, 25, 23, 26, 21, 28)


def at_points(action: str, sent: int | None = None, **order: object) -> Attack:
    """Do something at random points of a run, then run the same command again."""

    def attack(stand: Stand, runs: int) -> Tally:
        tally = Tally(f"{action} at a random point")
        last = stand.operations(stand.command("anna", out := stand.new_folder("counted")), out)
        chance = random.Random(f"{SEED} {action}")
        for _ in range(runs):
            out = stand.new_folder(action)
            argv = stand.command("anna", out)
            end = stand.run(argv, action=action, watched=str(out), point=chance.randint(1, last), **order)
            _restore(out)
            stand.judge(tally, out, "anna", end, sent=sent, can_clean=action != "read-only")
            stand.judge_rerun(tally, out, "anna", argv)
        return tally

    return attack


def at_the_end(action: str, sent: int | None = None, earlier: str | None = None) -> Attack:
    """Do something at each step from the moment at which the result is put in place, then run the command again.

    :param earlier: a patient whose result is in the folder before; then only one patient's may be there after it.
    """

    def attack(stand: Stand, runs: int) -> Tally:
        tally = Tally(f"{action} at a step of the end" + (", over another's" if earlier else ""))
        out = stand.new_folder("ending")
        if earlier:
            stand.run(stand.command(earlier, out))
        folder = out.with_name("ends")
        folder.mkdir()
        end = stand.run(stand.command("anna", out), ending=[str(out), str(folder), runs, action])
        if end.code != 0:
            raise RuntimeError(f"the victim ended with {end}")
        for step, code, late in json.loads((folder / "ends.json").read_text("ascii")):
            left = folder / str(step)
            if late and code == 0 and action in ("delete", "file"):
                tally.runs += 1  # everything was there when it was looked for last
                continue
            _restore(left)
            end = End(code, (folder / f"{step}.txt").read_text("utf-8"))
            found = [Tally(tally.attack) for _ in range(2 if earlier and code != 0 else 1)]
            for name, alone in zip(("anna", earlier), found, strict=False):
                stand.judge(alone, left, name, end, sent=sent)
            _add(tally, min(found, key=Tally.found))
            if code != 0:
                stand.judge_rerun(tally, left, "anna", stand.command("anna", left))
        return tally

    return attack


def killed_at_a_time(stand: Stand, runs: int) -> Tally:
    """Kill from outside, after a random part of the time that a run takes: also inside the writers' own code."""
    tally = Tally("kill -9 at a random time")
    started = time.monotonic()
    stand.run(stand.command("anna", stand.new_folder("timed")))
    whole = time.monotonic() - started
    chance = random.Random(SEED)
    for _ in range(runs):
        out = stand.new_folder("killed")
        argv = stand.command("anna", out)
        victim = stand.start(argv)
        time.sleep(whole * chance.random())
        kill(victim[1])
        stand.judge(tally, out, "anna", stand.wait(victim), sent=signal.SIGKILL)
        stand.judge_rerun(tally, out, "anna", argv)
    return tally


def full_disk(form: str) -> Attack:
    """No file may grow beyond a random size, which is how a full disk looks to who writes."""

    def attack(stand: Stand, runs: int) -> Tally:
        tally = Tally(f"full disk, {form}")
        chance = random.Random(f"{SEED} {form}")
        for _ in range(runs):
            out = stand.new_folder("full")
            argv = stand.command("anna", out, "--format", form)
            size = int(10 ** chance.uniform(1, 4.6))
            stand.judge(tally, out, "anna", stand.run(argv, file_size=size))
            stand.judge_rerun(tally, out, "anna", argv)
        return tally

    return attack


def little_memory(stand: Stand, runs: int) -> Tally:
    """The address space may grow by little only. Libraries written in Rust abort when they get none."""
    tally = Tally("memory limit")
    for number in range(runs):
        out = stand.new_folder("memory")
        argv = stand.command("anna", out)
        end = stand.run(argv, more_memory=2 ** _MEMORY_BITS[number % len(_MEMORY_BITS)])
        stand.judge(tally, out, "anna", end, sent=signal.SIGABRT)
        stand.judge_rerun(tally, out, "anna", argv)
    return tally


def two_runs_on_one_folder(stand: Stand, runs: int) -> Tally:
    """Two patients into one folder at once: one result stands there at the end, and it is whole."""
    tally = Tally("two runs on one folder")
    for _ in range(runs):
        out = stand.new_folder("shared")
        started = {name: stand.start(stand.command(name, out)) for name in PATIENTS}
        ends = {name: stand.wait(victim) for name, victim in started.items()}
        done = [name for name, end in ends.items() if end.code == 0]
        for name, end in ends.items():
            alone = Tally(tally.attack)
            # Who was refused must not have touched the other's files; who was not, has the last word.
            stand.judge(alone, out if end.code == 0 and done == [name] else stand.folder / "nowhere", name, end)
            if end.code == 0 and len(done) > 1:
                alone = _judged_as_one_of(stand, out, done)
            _add(tally, alone)
        for name in PATIENTS:
            stand.judge_rerun(tally, out, name, stand.command(name, out))
    return tally


def two_cohorts_on_one_folder(stand: Stand, runs: int) -> Tally:
    """The same cohort twice at once, then once more."""
    tally = Tally("two cohorts on one folder")
    table = _table(stand)
    for _ in range(runs):
        out = stand.new_folder("cohorts")
        argv = ["cohort", str(table), "--out", str(out), *stand.options(), "--devices", "cpu"]
        for end in [stand.wait(victim) for victim in [stand.start(argv), stand.start(argv)]]:
            tally.runs += 1
            tally.hit += end.code != 0
            if end.code not in (0, 3, 21) or "Traceback" in end.said:
                tally.count("untyped", f"exit {end.code}: {end.said[-600:]}")
        last = stand.run(argv)
        if last.code != 0:
            tally.count("lost", f"the rerun ended with {last.code}: {last.said[-300:]}")
        for name in PATIENTS:
            stand.judge(tally, out / name, name, last) if last.code == 0 else None
    return tally


def ended_cohort(action: str, sent: int) -> Attack:
    """End a cohort at random points; the same command brings every case to its end."""

    def attack(stand: Stand, runs: int) -> Tally:
        tally = Tally(f"{action} of a cohort")
        table = _table(stand)
        chance = random.Random(SEED)
        shared = [*stand.options(), "--devices", "cpu"]
        last = stand.operations(["cohort", str(table), "--out", str(out := stand.new_folder("counted")), *shared], out)
        for _ in range(runs):
            out = stand.new_folder("cohort")
            argv = ["cohort", str(table), "--out", str(out), *shared]
            end = stand.run(argv, action=action, watched=str(out), point=chance.randint(1, last))
            for name in PATIENTS:
                stand.judge(tally, out / name, name, end, sent=sent, alone=False)
            # A case that ended the process before may be reported as failed once; then it is tried again.
            ends = [stand.run(argv) for _ in range(2)]
            if ends[-1].code != 0:
                tally.count("lost", f"the reruns ended with {[end.code for end in ends]}: {ends[-1].said[-300:]}")
                continue
            for name in PATIENTS:
                stand.judge(tally, out / name, name, ends[-1])
                tally.runs -= 1
        return tally

    return attack


def closed_streams(stand: Stand, runs: int) -> Tally:
    """Nobody reads what the command says, or it has no streams at all."""
    tally = Tally("closed or broken streams")
    ways = [{"stdout": "broken"}, {"stdout": "closed"}, {"stdin": "closed"}, {"stdout": "closed", "stdin": "closed"}]
    for number in range(runs):
        out = stand.new_folder("streams")
        argv = stand.command("anna", out)
        end = stand.run(argv, **ways[number % len(ways)])
        # What is said may be lost, the result may not.
        stand.judge(tally, out, "anna", end)
        if end.code != 0:
            tally.count("lost", f"{ways[number % len(ways)]}: exit {end.code}: {end.said[-300:]}")
    return tally


def reader_gone(stand: Stand, runs: int) -> Tally:
    """`gbmresponse predict … | true`, in a process of its own."""
    tally = Tally("pipe to a reader that ends")
    for _ in range(runs):
        out = stand.new_folder("pipe")
        end = stand.run_alone(stand.command("anna", out), "| true")
        stand.judge(tally, out, "anna", end)
        if end.code != 0:
            tally.count("lost", f"exit {end.code}: {end.said[-300:]}")
    return tally


def bare_environments(stand: Stand, runs: int) -> Tally:
    """No home, no folder for temporary files, no UTF-8, other languages, names that are not ASCII."""
    tally = Tally("bare and foreign environments")
    nowhere = str(stand.folder / "nowhere")
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "LANG": None}
    environments: list[dict[str, str | None]] = [
        {"HOME": None, "TMPDIR": nowhere, "XDG_CACHE_HOME": None, "XDG_CONFIG_HOME": None, **ascii_only},
        {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii", "HOME": nowhere},
        {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "LANGUAGE": "de"},
        {"PATH": None, "USER": None, "LOGNAME": None, "TZ": "Pacific/Kiritimati"},
    ]
    for number in range(runs):
        out = stand.new_folder("bare")
        end = stand.run_alone(stand.command("anna", out), **environments[number % len(environments)])
        stand.judge(tally, out, "anna", end)
        if end.code != 0:
            tally.count("lost", f"{environments[number % len(environments)]}: exit {end.code}: {end.said[-300:]}")
    return tally


def closed_worker(stand: Stand, runs: int) -> Tally:
    """The panel goes away in the middle of a prediction: the worker ends by itself, and its slices are used again."""
    tally = Tally("worker: standard input closes")
    for number in range(runs):
        out = stand.new_folder("worker")
        message = {
            "image": str(stand.image("anna")), "gtv": str(stand.gtv("anna")), "bundle": str(stand.bundle),
            "out": str(out), "device": "cpu", "precision": "float32", "batch_size": 1, "seed": 4, "montage": False,
            "report": False, "samples": stand.samples,
        }  # fmt: skip
        stages = ("load", "encode", "sample")
        with WorkerSession(stand.folder / "worker.txt") as session:
            session.send(type="predict", id="x", **message, format=".nii.gz")
            while (event := session.next())["type"] != "stage" or event["stage"] != stages[number % len(stages)]:
                pass
            session.process.stdin.close()
            code = session.wait_for_end()
        tally.runs += 1
        tally.hit += 1
        if code not in (0, 1):  # 1: what it was doing took longer than it may go on without a reader
            tally.count("untyped", f"exit {code}: {session.log.read_text('utf-8')[-600:]}")
        stand.judge_rerun(tally, out, "anna", stand.command("anna", out))
    return tally


ATTACKS: dict[str, tuple[Attack, int, int]] = {
    # name: attack, runs in the tests, runs of `make faults`
    "kill": (at_points("kill", signal.SIGKILL), 1, 60),
    "kill-time": (killed_at_a_time, 0, 30),
    "terminate": (at_points("terminate", signal.SIGTERM), 1, 20),
    "interrupt": (at_points("interrupt", signal.SIGINT), 1, 20),
    "delete": (at_points("delete"), 1, 20),
    "file": (at_points("file"), 1, 20),
    "read-only": (at_points("read-only", nobody=True), 1, 20),
    "clock-back": (at_points("clock-back"), 1, 10),
    "clock-ahead": (at_points("clock-ahead"), 0, 10),
    "end-kill": (at_the_end("kill", signal.SIGKILL), 1, 40),
    "end-kill-over": (at_the_end("kill", signal.SIGKILL, earlier="bela"), 1, 40),
    "end-terminate": (at_the_end("terminate", signal.SIGTERM), 1, 200),
    "end-interrupt": (at_the_end("interrupt", signal.SIGINT), 1, 2000),
    "end-delete": (at_the_end("delete"), 1, 60),
    "end-file": (at_the_end("file"), 1, 40),
    "full-nii.gz": (full_disk(".nii.gz"), 1, 40),
    "full-nrrd": (full_disk(".nrrd"), 0, 20),
    "full-mha": (full_disk(".mha"), 0, 20),
    "memory": (little_memory, 1, 30),
    "two-runs": (two_runs_on_one_folder, 1, 10),
    "two-cohorts": (two_cohorts_on_one_folder, 1, 8),
    "kill-cohort": (ended_cohort("kill", signal.SIGKILL), 1, 20),
    "interrupt-cohort": (ended_cohort("interrupt", signal.SIGINT), 1, 20),
    "streams": (closed_streams, 1, 8),
    "pipe": (reader_gone, 1, 5),
    "environments": (bare_environments, 1, 8),
    "worker": (closed_worker, 1, 9),
}


def _restore(out) -> None:
    """What an administrator would do before the next try: rights as before, no file in the place of the folder."""
    if out.is_file():
        out.unlink()
    if out.is_dir():
        for folder in [out, *(path for path in out.rglob("*") if path.is_dir())]:
            folder.chmod(0o777)


def _table(stand: Stand):
    path = stand.folder / "cases.csv"
    lines = ["id,image,gtv", *(f"{name},{stand.image(name)},{stand.gtv(name)}" for name in PATIENTS)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _judged_as_one_of(stand: Stand, out, names: list[str]) -> Tally:
    """The result of whichever patient it is of; that with the fewest findings is meant."""
    tallies = []
    for name in names:
        tally = Tally("two runs on one folder", runs=1)
        stand._judge_result(tally, out, name)
        tallies.append(tally)
    return min(tallies, key=Tally.found)


def _add(tally: Tally, other: Tally) -> None:
    for name in ("runs", "hit", "wrong_grid", "mixed", "half_files", "untyped", "lost"):
        setattr(tally, name, getattr(tally, name) + getattr(other, name))
    tally.notes += other.notes
