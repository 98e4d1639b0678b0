#!/usr/bin/env bash
# The bundle that comes with the extension, from heads to model card, with the ordinary commands. Start it again to
# continue. Hours on two CPU cores.
#
#   shipped_bundle.sh OUT ANATOMIES REAL CHENG
#
# OUT        folder for everything that is made
# ANATOMIES  prepared heads colin27, icbm152, robex and labels_* (docs/simulate.md); robex is held out
# REAL       the Brain-Tumor-Progression cases 01 to 06 as folders of NIfTI files (real_slices_table.py); 05 and 06 are
#            held out, 01 to 04 are seen by the image autoencoder alone
# CHENG      folder with the Cheng brain tumor dataset as JPEG files and index.csv, in one or several subfolders
#            (docs/import-cohorts.md); some ranges of numbers are held out, the others seen by the image autoencoder alone
set -euo pipefail
usage="Usage: shipped_bundle.sh OUT ANATOMIES REAL CHENG"
out=${1:?$usage}
anatomies=${2:?$usage}
real=${3:?$usage}
cheng=${4:?$usage}
tools=$(dirname "$0")
both=2-and-4-class
bundle=$out/run/bundles/$both

run() { echo "== gbmresponse-train $*"; gbmresponse-train "$@"; }

# Pairs of one scan: only the disease changes.
run simulate 800 "$out/cohort" --anatomies "$anatomies" --use colin27=0.55 icbm152=0.05 'labels_*=0.2' \
    --seed 51 --slices 4 --same-scan --report
run import cfb-gbm "$out/cohort" "$out/store" --same-scan
run split "$out/store" --shares 97 3 0

# Validation patients of the same heads by which the bundle is calibrated; the split above leaves few.
run simulate 100 "$out/calibration-cohort" --anatomies "$anatomies" --use colin27=0.55 icbm152=0.05 'labels_*=0.2' \
    --seed 53 --slices 4 --same-scan
run import cfb-gbm "$out/calibration-cohort" "$out/calibration-store" --same-scan
run split "$out/calibration-store" --shares 0 100 0

run simulate 150 "$out/test-cohort" --anatomies "$anatomies" --use robex --seed 42 --slices 4
run import cfb-gbm "$out/test-cohort" "$out/test-store"
run split "$out/test-store" --shares 0 0 100

run simulate 150 "$out/same-scan-test-cohort" --anatomies "$anatomies" --use robex --seed 52 --slices 4 --same-scan
run import cfb-gbm "$out/same-scan-test-cohort" "$out/same-scan-test-store" --same-scan
run split "$out/same-scan-test-store" --shares 0 0 100

python "$tools/real_slices_table.py" "$real" "$out/real"
run import heads "$out/real/whole_heads.csv" "$out/whole-heads"
extra=("$out/whole-heads") unseen=()
for index in "$cheng"/index.csv "$cheng"/*/index.csv; do
    [ -e "$index" ] || continue
    folder=$(dirname "$index")
    name=cheng-$(basename "$folder")
    run import cheng "$folder" "$out/$name"
    run import cheng "$folder" "$out/$name-held-out" --held-out
    extra+=("$out/$name") unseen+=("$name=$out/$name-held-out")
done
for name in seen unseen; do
    run import folder "$out/real/$name.csv" "$out/$name" --register always --keep-unknown-survival
    run split "$out/$name" --shares 0 0 100
done

run export "$both" --run "$out/run" --store "$out/store" --extra-images "${extra[@]}" --preset shipped
run reconstruction "$out/reconstruction" --model "demo-2=$out/run/image_autoencoder" \
    --store "05, 06=$out/unseen" "simulated=$out/test-store" "${unseen[@]}"

# The default guidance is chosen on validation patients, by the effect of the class: read guidance_sweep.md. It was 1.
run evaluate "$out/calibration-store" "$out/guidance" --split validation --tuning-store "$out/store" \
    --model "2-class=$bundle:2-class:true" --guidance-sweep 0 1 1.5 2 3 --max-slices 1
run export "$both" --run "$out/run" --name gbm-response-demo-2 --guidance 1

# What enhances is found by a network that learned it of simulated and of real scans.
python "$tools/make_exact_masks.py" "$out/cohort" "$anatomies" "$out/masks" --patients 40 --split "$out/store/patient_split.csv"
run segmenter "$both" --run "$out/run" --scans "$out/masks/scans.csv" "$out/real/scans.csv"
run calibrate "$both" --run "$out/run" --samples 8 --max-slices 3 --store "$out/calibration-store"

tuned=(--tuning-store "$out/store" --model "demo-2=$bundle:none")
run evaluate "$out/same-scan-test-store" "$out/same-scan" "${tuned[@]}" --samples 6 --stores
run evaluate "$out/test-store" "$out/own-scan" "${tuned[@]}" --samples 6 --max-slices 1
run evaluate "$out/unseen" "$out/evaluation-unseen" "${tuned[@]}" --samples 8 --data "Brain-Tumor-Progression 05 and 06"
run evaluate "$out/seen" "$out/evaluation-seen" "${tuned[@]}" --samples 8 --data "Brain-Tumor-Progression 01 to 04"
run realism "$out/same-scan/samples" "$out/same-scan/truths" "$out/realism" --image post
run evaluate "$out/same-scan-test-store" "$out/class-effect" --tuning-store "$out/store" \
    --model "2-class=$bundle:2-class:true" --guidance-sweep 1 --max-slices 1

# RUN/notes.md becomes a section of the card: write down what was special about this run.
run card "$both" --run "$out/run" \
    --report "simulated patients of one scan, head never seen=$out/same-scan" \
    --report "real pairs 05 and 06, never seen=$out/evaluation-unseen" \
    --report "simulated patients with noise and pose of their own, head never seen=$out/own-scan" \
    --report "real pairs 01 to 04, seen by the image autoencoder alone=$out/evaluation-seen"
