"""Samplers of the bundled model: error to the converged solution against evaluations, on the sample case.

The error is the relative L2 distance, over the latents of all tumor slices, to UniPC with 100 steps from the same
noise. DDIM and DDPM end at the first training step, whose noise stays in the latents, so they come no nearer than that.
The true follow-up plays no part: smoothing raises PSNR and would reward a bad sampler.

python Testing/benchmarks/bench_samplers.py [--guidance 2] [--reference-steps 100]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from GBMResponseCore.model.sampling import sample_latents
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions, SamplingOptions

SAMPLE = Path(__file__).resolve().parents[2] / "GBMResponse" / "Resources" / "SampleData"
CANDIDATES = (("ddim", 10), ("ddim", 20), ("ddim", 50), ("ddim", 200), ("dpmpp", 10), ("dpmpp", 15), ("unipc", 5),
              ("unipc", 8), ("unipc", 10), ("unipc", 15), ("unipc", 20))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--reference-steps", type=int, default=100)
    parser.add_argument("--slices", type=int, default=3)
    arguments = parser.parse_args()

    predictor = Predictor(open_bundle(default_bundle()), precision="float32")
    case = load_case(SAMPLE / "btp05_pre_t1gd.nii.gz", SAMPLE / "btp05_pre_gtv.nii.gz")
    slices, model = predictor.read_slices(case), predictor.model
    rows = slices.indices[: arguments.slices]
    pre, masks = slices.pre[: arguments.slices], slices.gtv[rows].astype(np.float32)
    sources = model.encode(pre, masks, len(rows))
    token = model.choose_class(pre, masks, PredictionOptions()).class_token

    def draw(sampler: str, steps: int) -> torch.Tensor:
        return sample_latents(
            model.networks.denoiser,
            predictor.bundle.scheduler_config,
            SamplingOptions(sampler, steps, arguments.guidance),
            sources,
            torch.full((len(rows),), token),
            null_token=predictor.bundle.null_token,
            seed=1,
            sample=0,
            positions_mm=slices.positions_mm[: arguments.slices],
            channels=predictor.bundle.latent_channels,
        )

    reference = draw("unipc", arguments.reference_steps)
    print(f"{predictor.bundle.name}, guidance {arguments.guidance:g}, {len(rows)} slices, reference UniPC-"
          f"{arguments.reference_steps}")  # fmt: skip
    print(f"{'sampler':<10}{'steps':>6}{'error':>10}")
    for sampler, steps in CANDIDATES:
        error = (draw(sampler, steps) - reference).norm() / reference.norm()
        print(f"{sampler:<10}{steps:>6}{float(error):>10.4f}", flush=True)


if __name__ == "__main__":
    main()
