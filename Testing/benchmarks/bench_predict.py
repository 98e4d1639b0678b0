"""Time and peak memory of a prediction in a fresh process: load, predict, write, stage by stage.

python Testing/benchmarks/bench_predict.py [IMAGE GTV]          (default: the sample case)
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

from GBMResponseCore import cli

SAMPLE = Path(__file__).resolve().parents[2] / "GBMResponse" / "Resources" / "SampleData"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="?", default=SAMPLE / "btp05_pre_t1gd.nii.gz")
    parser.add_argument("gtv", nargs="?", default=SAMPLE / "btp05_pre_gtv.nii.gz")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        files = ["--image", str(arguments.image), "--gtv", str(arguments.gtv), "--out", folder]
        code = cli.main(["predict", *files, *options])
        if code == 0:
            print("seconds:", json.loads((Path(folder) / "provenance.json").read_text("utf-8"))["seconds"])
    # ru_maxrss is in kilobytes on Linux and in bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.2f} GB")
    return code


if __name__ == "__main__":
    sys.exit(main())
