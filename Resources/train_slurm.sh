#!/bin/bash
# Train a diffusion model on several nodes: sbatch train_slurm.sh RUN CONFIGURATION (2-class, no-class, ...).
# Autoencoders, classifier and latents are trained before, on one node: docs/training.md.
#SBATCH --job-name=gbmresponse
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

run=${1:?"usage: sbatch train_slurm.sh RUN CONFIGURATION"}
configuration=${2:?"usage: sbatch train_slurm.sh RUN CONFIGURATION"}

# The processes of all nodes meet at the first one.
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_ADDR=${hosts[0]}
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
WORLD_SIZE=$SLURM_NTASKS
export MASTER_ADDR MASTER_PORT WORLD_SIZE

# Ranks are known inside srun alone, hence the single quotes.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c \
  'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID exec gbmresponse-train doctor --folder "$1"' doctor "$run"

# The same command continues from the last checkpoint, also after a requeue.
srun --kill-on-bad-exit=1 gbmresponse-train train diffusion "$configuration" \
  --run "$run" --devices "$SLURM_NTASKS_PER_NODE" --nodes "$SLURM_NNODES"
