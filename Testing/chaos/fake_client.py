"""`gbmresponse cohort` with two workers that predict nothing, see `fake_runner`: TABLE OUT."""

import sys
from pathlib import Path

from fake_runner import SlowRunner
from GBMResponseCore.cohort.case_run import Plan
from GBMResponseCore.cohort.cluster import LOCAL, MOST_ENDS, DaskWorkers, connected
from GBMResponseCore.cohort.drive import cohort_folder, run_cohort
from GBMResponseCore.errors import SomeCasesFailedError
from GBMResponseCore.inputs.case_table import read_case_table
from GBMResponseCore.request import PredictionRequest


def say(line: str) -> None:
    """Print at once: this process may be killed at any moment."""
    print(line, flush=True)


def main() -> int:
    """Run the cohort; returns its exit code."""
    table, out = Path(sys.argv[1]), Path(sys.argv[2])
    plan, cases = Plan(PredictionRequest(table, table, out), out, MOST_ENDS), read_case_table(table)
    with cohort_folder(cases, table, plan), connected(LOCAL, ["cpu", "cpu"], None, None, say) as (client, most):
        try:
            run_cohort(cases, plan, DaskWorkers(client, plan, most, SlowRunner), say)
        except SomeCasesFailedError:
            return SomeCasesFailedError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
