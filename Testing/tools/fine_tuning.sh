#!/usr/bin/env bash
# What fine-tuning is worth to another hospital, on simulated patients: skill of a bundle on a cohort with other contrast
# and other growth, before and after it was fine-tuned on part of that cohort. Start it again to continue.
#
#   fine_tuning.sh OUT ANATOMIES BUNDLE [finetune options, such as --set diffusion.training.steps=1000]
#
# OUT        folder for everything that is made; OUT/evaluation/report.md has the figures
# ANATOMIES  prepared heads (docs/simulate.md), best one that the bundle has not seen; or phantom
# BUNDLE     the bundle to start from
set -euo pipefail
usage="Usage: fine_tuning.sh OUT ANATOMIES BUNDLE [finetune options]"
out=${1:?$usage}
anatomies=${2:?$usage}
bundle=${3:?$usage}
shift 3
read -ra use <<< "${USE:-}"  # anatomies to take, as of simulate --use

run() { echo "== gbmresponse-train $*"; gbmresponse-train "$@"; }

run simulate "${PATIENTS:-240}" "$out/cohort" --anatomies "$anatomies" ${use:+--use "${use[@]}"} \
    --seed 71 --slices "${SLICES:-4}" --size "${SIZE:-256}"
run import cfb-gbm "$out/cohort" "$out/simulated" --bundle "$bundle"
python "$(dirname "$0")/other_hospital.py" "$out/simulated" "$out/hospital"
run split "$out/hospital" --shares 50 10 40

run finetune --bundle "$bundle" --store "$out/hospital" --run "$out/run" "$@"
tuned=("$out"/run/bundles/*/)
run evaluate "$out/hospital" "$out/evaluation" --model "before=$bundle:none" --model "after=${tuned[0]%/}:none" \
    --samples "${SAMPLES:-5}" --max-slices 2
