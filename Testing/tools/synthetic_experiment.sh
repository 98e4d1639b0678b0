#!/usr/bin/env bash
# The paper's whole experiment on simulated patients: cohort in CFB-GBM's layout -> slice store -> four trained
# configurations -> Table 1, Figure 4 and bundles. About 10 minutes on two CPU cores; start it again to continue.
#
#   synthetic_experiment.sh OUT [ANATOMIES]
#
# OUT        folder for everything that is made
# ANATOMIES  folder of prepared heads (see docs/simulate.md); without it an egg-shaped phantom stands in for them
set -euo pipefail
out=${1:?Usage: synthetic_experiment.sh OUT [ANATOMIES]}
anatomies=${2:-phantom}
patients=${PATIENTS:-60}
preset=${PRESET:-demo}

run() { echo "== gbmresponse-train $*"; gbmresponse-train "$@"; }

run simulate "$patients" "$out/cohort" --anatomies "$anatomies" --slices 6
run import cfb-gbm "$out/cohort" "$out/store"
run split "$out/store"
run experiment --run "$out/run" --store "$out/store" --preset "$preset"
