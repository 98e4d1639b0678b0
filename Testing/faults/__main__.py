"""Attack the product: `python -m faults` in Testing, or `make faults`. Prints a table; exit code 1 on any finding."""

import argparse
import sys
import time

from .attacks import ATTACKS
from .stand import Stand, Tally


def main() -> int:
    """Run the attacks; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ATTACKS, help="these attacks")
    parser.add_argument("--short", action="store_true", help="as few runs as in the tests")
    arguments = parser.parse_args()
    tallies = []
    with Stand() as stand:
        for name in arguments.only or ATTACKS:
            attack, few, many = ATTACKS[name]
            started = time.monotonic()
            tallies.append(attack(stand, max(few, 1) if arguments.short else many))
            print(f"{name}: {tallies[-1].runs} runs, {time.monotonic() - started:.0f} s", flush=True)
            print(*tallies[-1].notes[:5], sep="\n", end="\n" if tallies[-1].notes else "", flush=True)
    print(Tally.table(tallies))
    return 1 if any(tally.found() for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
