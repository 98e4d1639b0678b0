"""How the panel feels, on the test host: longest stop of the event loop, start of a warm run, time to cancel.

python Testing/benchmarks/bench_panel.py [--runs N] [--views]

The sample case and the bundled model are predicted with a real worker process. A timer of 2 ms records when the event
loop lets it tick; the longest pause between two ticks is the longest time that the panel did not react. With --views
the views are shown and drawn too, here by a software renderer, which takes most of that time.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "GBMResponse"), str(ROOT), str(ROOT / "Testing")]

import host  # noqa: E402

TICK_MS = 2


class Ticks:
    """Times at which a timer ticked."""

    def __init__(self):
        import qt

        self.times = [time.perf_counter()]
        self.timer = qt.QTimer()
        self.timer.setInterval(TICK_MS)
        self.timer.connect("timeout()", self._tick)
        self.timer.start()

    def _tick(self) -> None:
        self.times.append(time.perf_counter())

    def longest(self, count: int = 3) -> list[tuple[float, float]]:
        """Return the longest pauses in ms with their time since the first tick in s."""
        pairs = zip(self.times, self.times[1:], strict=False)
        pauses = ((1000 * (after - before), before - self.times[0]) for before, after in pairs)
        return sorted(pauses, reverse=True)[:count]


class Watch:
    """Stops the times of one run by the controller's signals."""

    def __init__(self, driver):
        self.times = {"click": time.perf_counter()}
        controller = driver.controller
        controller.previewReady.connect(lambda *arguments: self._mark("preview"))
        controller.progressChanged.connect(self._onProgress)
        controller.finished.connect(lambda run: self._mark("finished"))

    def _mark(self, name: str) -> None:
        self.times.setdefault(name, time.perf_counter())

    def _onProgress(self, progress) -> None:
        if progress.details:
            self._mark("sampling")

    def seconds(self, name: str, since: str = "click") -> float:
        return self.times[name] - self.times[since]


def measure(driver, runs: int) -> None:
    """Print the figures of a cold run, of warm runs, and of cancelled runs."""
    for number in range(runs + 1):
        driver.parameters.seed = number + 1
        driver.settle()
        ticks, watch = Ticks(), Watch(driver)
        driver.predict()
        driver.wait()
        driver.session.spin(0.3)
        assert driver.controller.run.state.name == "done", driver.status
        pauses = ", ".join(f"{pause:.0f} ms at {at:.2f} s" for pause, at in ticks.longest())
        kind = "warm" if number else "cold"
        start, whole = watch.seconds("sampling"), watch.seconds("finished")
        print(f"{kind} run: sampling after {start:.2f} s, done after {whole:.2f} s; longest pauses: {pauses}")
    for number in range(runs):
        driver.parameters.seed = 100 + number
        driver.settle()
        ticks, watch = Ticks(), Watch(driver)
        driver.predict()
        driver.untilSampling()
        driver.session.until(lambda: driver.ui.predictButton.enabled, 10)
        clicked = time.perf_counter()
        driver.click("predictButton")
        driver.wait()
        pause = ticks.longest(1)[0][0]
        print(f"cancel: {watch.times['finished'] - clicked:.2f} s after the click; longest pause: {pause:.0f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
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
    if arguments.views:
        window = session.window(driver.widget)
        window.show()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{os.cpu_count()} cores, load {load:.1f}, views {'drawn in software' if arguments.views else 'not shown'}")
    measure(driver, arguments.runs)
    driver.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
