#!/usr/bin/env bash
# Install a wheel into an environment of its own and predict the sample case with it, from another folder and offline:
#   try_wheel.sh dist/gbmresponse-1.0.0-py3-none-any.whl [--constraint FILE]
# TORCH_INDEX_URL=...  package index to take torch from
set -euo pipefail

wheel="$(realpath "$1")"
constraints=()
if [ "${2:-}" = "--constraint" ]; then constraints=(-c "$(realpath "$3")"); fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"${PYTHON:-python3}" -m venv bare
pip=(bare/bin/python -m pip --disable-pip-version-check --quiet install ${constraints[@]+"${constraints[@]}"})
"${pip[@]}" ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch
"${pip[@]}" "$wheel"

# No server can be reached from here on.
export HF_HUB_OFFLINE=1 http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 PYTHONPATH=
bare/bin/gbmresponse --version
bare/bin/gbmresponse models list
bare/bin/gbmresponse models verify
sample="$(bare/bin/python -c 'from GBMResponseCore.model.manifest import RESOURCES; print(RESOURCES / "SampleData")')"
bare/bin/gbmresponse predict --image "$sample/btp05_pre_t1gd.nii.gz" --gtv "$sample/btp05_pre_gtv.nii.gz" \
  --out results --samples 2 --seed 1
test -f results/report.html
bare/bin/python -c 'import GBMResponseCore as gbm; print(gbm.to_array(gbm.predict(gbm.sample_case(), sample_count=0).expected)[0].shape)'
