"""Feed many made-up and damaged inputs to the product: `python -m fuzz` in Testing, or `make fuzz`.

Exit code 1 if one of them ended in anything but a typed error or a right result. The same seed gives the same inputs.
"""

import argparse
import json
import sys
import time

from .driver import Fuzzer, is_finding

SHARES = {"geometry": 0.10, "image": 0.40, "bundle": 0.10, "dicom": 0.02, "table": 0.18, "line": 0.20}


def main() -> int:
    """Run one session; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=SHARES, help="only these inputs")
    parser.add_argument("--recipe", help="repeat one input, as a finding prints it")
    arguments = parser.parse_args()
    started = time.monotonic()
    with Fuzzer() as fuzzer:
        if arguments.recipe:
            outcome = fuzzer.feed(json.loads(arguments.recipe))
            print("\n".join([outcome, *fuzzer.findings.sentences()]))
            return int(is_finding(outcome))
        print(f"Seed {arguments.seed}.")
        for kind, share in ({arguments.kind: 1.0} if arguments.kind else SHARES).items():
            fuzzer.feed_many(kind, max(1, round(share * arguments.inputs)), arguments.seed)
            findings = fuzzer.findings
            so_far = f"{len(findings.examples)} kinds of findings so far, {time.monotonic() - started:.0f} s"
            print(f"{kind}: {findings.total(kind)} inputs, {so_far}", flush=True)
    print("", *findings.sentences(), "", findings.table(), sep="\n")
    print(f"\n{findings.total()} inputs, {len(findings.examples)} kinds of findings, seed {arguments.seed}.")
    return 1 if findings.examples else 0


if __name__ == "__main__":
    sys.exit(main())
