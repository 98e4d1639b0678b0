#!/usr/bin/env bash
# Pilots of the choices of the recipe `shipped`: each against its opposite, everything else and the number of steps
# equal. Small denoisers learn with the autoencoders of a bundle; one evaluation compares all of them on the validation
# patients of STORE. Start it again to continue.
#
#   pilots.sh OUT STORE OTHER BUNDLE [ARM ...]
#
# OUT     folder for everything that is made; OUT/evaluation has the figures
# STORE   pairs of one scan (simulate --same-scan), split into training and validation patients
# OTHER   the same patients with a noise and pose of their own (the same seed without --same-scan), split alike
# BUNDLE  whose autoencoders are taken
# ARM     chosen (the recipe), whole-slices, even-weight, equal-variances, own-noise, neighbors (2.5-D); all but the
#         last if none is named. With neighbors all slices are evaluated, and the cohort needs slices that lie as close
#         together as those of a scan
#
# STEPS (1000) of 16 items, CHANNELS ([32,64,96]) of the denoisers, SAMPLES (5) per slice, SLICES (1) per patient.
set -euo pipefail
usage="Usage: pilots.sh OUT STORE OTHER BUNDLE [ARM ...]"
out=${1:?$usage}
store=${2:?$usage}
other=${3:?$usage}
bundle=${4:?$usage}
shift 4
arms=("$@")
[ ${#arms[@]} -gt 0 ] || arms=(chosen whole-slices even-weight equal-variances own-noise)

choose() {  # the store, where its latents are kept for other arms, and the settings of an arm
    pairs=$store kept=$out/latents-one-scan choice=()
    case $1 in
        chosen) ;;
        whole-slices) choice=(--set diffusion.window=null --set diffusion.fold=2) ;;
        even-weight) choice=(--set diffusion.gtv_weight=0) ;;
        equal-variances) choice=(--set diffusion.coarse_first=0) ;;
        own-noise) pairs=$other kept=$out/latents-own-noise ;;
        neighbors) choice=(--set diffusion.neighbor_slices=1) selection=() ;;
        *) echo "There is no arm $1. $usage" >&2; exit 2 ;;
    esac
}
selection=(--max-slices "${SLICES:-1}")
for arm in "${arms[@]}"; do choose "$arm"; done
steps=${STEPS:-1000}

run() { echo "== gbmresponse-train $*"; gbmresponse-train "$@"; }

# A run that fine-tunes leaves the bundle's autoencoders as stages that others can start from.
run finetune --bundle "$bundle" --store "$store" --run "$out/parent" \
    --set diffusion.training.steps=1 --set diffusion.preview_slices=0 --set diffusion.flip=false

common=(--preset shipped --set "diffusion.channels=${CHANNELS:-[32,64,96]}" --set "diffusion.training.steps=$steps"
    --set "diffusion.training.validate_every=$steps" --set diffusion.preview_slices=0 --set diffusion.days_since_rt=false)
for part in image gtv; do
    common+=(--set "${part}_autoencoder.start=$out/parent/${part}_autoencoder"
        --set "${part}_autoencoder.frozen_encoder=true" --set "${part}_autoencoder.training.steps=1"
        --set "${part}_autoencoder.training.batch_size=1" --set "${part}_autoencoder.training.learning_rate=1e-9")
done

share_latents() {  # the first arm of a store encodes it; those of other autoencoders would not be taken
    if [ -e "$out/$arm/latents/made_with.json" ] && [ ! -d "$kept" ]; then
        rm -rf "$kept.partial"
        mkdir "$kept.partial"
        cp "$out/$arm/latents/"*.npy "$out/$arm/latents/made_with.json" "$kept.partial"
        mv "$kept.partial" "$kept"
    elif [ -d "$kept" ] && [ ! -d "$out/$arm" ]; then
        mkdir "$out/$arm"
        cp -R "$kept" "$out/$arm/latents"
    fi
}

models=()
for arm in "${arms[@]}"; do
    choose "$arm"
    share_latents
    run export no-class --run "$out/$arm" --store "$pairs" --name "$arm" "${common[@]}" ${choice[@]+"${choice[@]}"}
    share_latents
    models+=(--model "$arm=$out/$arm/bundles/no-class")
done

run evaluate "$store" "$out/evaluation" --split validation "${models[@]}" --samples "${SAMPLES:-5}" \
    ${selection[@]+"${selection[@]}"}
