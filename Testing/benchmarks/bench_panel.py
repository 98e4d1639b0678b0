"""How the panel feels, on the test host: pauses of the event loop, warm start, expected image, what-if, stop.

python Testing/benchmarks/bench_panel.py [--runs N] [--samples N] [--steps N] [--views] [--stand-in]

The sample case and the bundled model are predicted with a real worker process. A timer of 2 ms records when the event
loop lets it tick; between two ticks the panel does not react. Of the longest pauses the CPU time of the thread is told,
which other work on the machine does not change, and in brackets the time by the clock. With --views the views are shown
and drawn too, here by a software renderer, each by a timer of its own as in Slicer. With --stand-in a process without
a model answers at once (stand_in_worker.py), so that the pauses of the panel can be measured on a busy machine.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "GBMResponse"), str(ROOT), str(ROOT / "Testing")]

import host  # noqa: E402

TICK_MS = 2


class Ticks:
    """Times at which a timer ticked."""

    def __init__(self):
        import qt

        self.times, self.cpu = [time.perf_counter()], [time.thread_time()]
        self.timer = qt.QTimer()
        self.timer.setInterval(TICK_MS)
        self.timer.connect("timeout()", self._tick)
        self.timer.start()

    def _tick(self) -> None:
        self.times.append(time.perf_counter())
        self.cpu.append(time.thread_time())

    def longest(self, count: int = 3) -> list[tuple[float, float, float]]:
        """Return the pauses in which the thread worked longest: CPU ms, ms of the clock, at s after the start."""
        clock, cpu = np.array(self.times), np.array(self.cpu)
        pauses = np.stack([1000 * np.diff(cpu), 1000 * np.diff(clock), clock[:-1] - clock[0]], axis=1)
        return [tuple(row) for row in pauses[np.argsort(-pauses[:, 0])[:count]]]


class Watch:
    """Stops the times of one run by the controller's signals."""

    def __init__(self, driver):
        self.times = {"click": time.perf_counter()}
        controller = driver.controller
        controller.previewReady.connect(lambda *arguments: self._mark("preview"))
        controller.expectedReady.connect(lambda *arguments: self._mark("expected"))
        controller.progressChanged.connect(self._onProgress)
        controller.finished.connect(lambda run: self._mark("finished"))

    def _mark(self, name: str) -> None:
        self.times.setdefault(name, time.perf_counter())

    def _onProgress(self, progress) -> None:
        if progress.details:
            self._mark("sampling")

    def seconds(self, name: str, since: str = "click") -> float:
        return self.times[name] - self.times[since]


def useStandIn(driver) -> None:
    """Let a process without a model answer."""
    process = driver.widget.logic.engine.controller._client._transport
    process._program, process._arguments = sys.executable, [str(Path(__file__).with_name("stand_in_worker.py"))]


def measureRuns(driver, runs: int) -> None:
    """Print the figures of a cold run and of warm runs."""
    for number in range(runs + 1):
        driver.parameters.seed = number + 1
        driver.settle()
        ticks, watch = Ticks(), Watch(driver)
        driver.predict()
        driver.wait()
        driver.session.spin(0.3)
        assert driver.controller.run.state.name == "done", driver.status
        pauses = ", ".join(f"{cpu:.0f} ({pause:.0f}) ms at {at:.2f} s" for cpu, pause, at in ticks.longest())
        kind = "warm" if number else "cold"
        start, expected, whole = (watch.seconds(name) for name in ("sampling", "expected", "finished"))
        print(
            f"{kind} run: begins after {start:.2f} s, expected image after {expected:.2f} s, done after {whole:.2f} s; "
            f"longest pauses: {pauses}"
        )


def measureStops(driver, runs: int) -> None:
    """Print how long it takes to stop, and the longest pause meanwhile."""
    for number in range(runs):
        driver.parameters.seed = 100 + number
        driver.settle()
        ticks, watch = Ticks(), Watch(driver)
        driver.predict()
        driver.session.until(lambda: driver.ui.predictButton.enabled and driver.ui.predictButton.text == "Stop")
        clicked = time.perf_counter()
        driver.click("predictButton")
        driver.wait()
        cpu, pause, _at = ticks.longest(1)[0]
        seconds = watch.times["finished"] - clicked
        print(f"stop: {seconds:.2f} s after the click; longest pause: {cpu:.0f} ({pause:.0f}) ms")


def measureWhatIfs(driver, count: int) -> None:
    """Print how long an answer takes: in the worker, and from the slider to the view."""
    answers = []
    driver.widget.logic.engine.whatIf.answered.connect(lambda wish, path, seconds: answers.append((wish, seconds)))
    times = []
    for number in range(count):
        weight, began = round((number + 0.5) / count, 3), time.perf_counter()
        driver.ui.whatIfWeightSlider.value = weight
        driver.session.until(lambda weight=weight: answers and answers[-1][0]["weight"] == weight)
        times.append((answers[-1][1], time.perf_counter() - began))
    (first, _seen), *warm = times
    engine, seen = (sorted(column)[len(warm) // 2] for column in zip(*warm, strict=True))
    print(f"what-if: {first:.2f} s the first, then {engine:.2f} s in the worker, {seen:.2f} s to the view (medians)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--samples", type=int, help="of a run; by default those of the panel")
    parser.add_argument("--steps", type=int, help="of a sample; by default those of the panel")
    parser.add_argument("--stand-in", action="store_true", help="measure the panel alone, with answers without a model")
    parser.add_argument("--views", action="store_true", help="show the views, drawn in software")
    arguments = parser.parse_args()
    reason = host.missing()
    if reason:
        print(f"The test host {reason}.")
        return 1
    session = host.start()
    session.useMainWindow()
    import SampleData
    from host.panel_driver import PanelDriver

    driver = PanelDriver(session)
    volume, segmentation, _followUp = SampleData.SampleDataLogic().downloadSamples("GBMResponseBTP05")
    segmentID = segmentation.GetSegmentation().GetNthSegmentID(0)
    driver.choose(SimpleNamespace(volume=volume, segmentation=segmentation, segmentID=segmentID), "")
    for name in ("samples", "steps"):
        if getattr(arguments, name) is not None:
            setattr(driver.parameters, name, getattr(arguments, name))
    if arguments.views:
        window = session.window(driver.widget)
        window.show()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} cores, load {load:.1f}, views {'drawn in software' if arguments.views else 'not shown'}")
    if arguments.stand_in:
        useStandIn(driver)
    measureRuns(driver, arguments.runs)
    if not arguments.stand_in:
        measureWhatIfs(driver, 8)
        measureStops(driver, arguments.runs)
    driver.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
