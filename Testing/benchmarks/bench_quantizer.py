"""Nearest of 8192 codes for the 4096 positions of a slice: distance matrix against k-d tree, side by side.

python Testing/benchmarks/bench_quantizer.py
"""

import time

import torch
from GBMResponseCore.model.quantizer import nearest_code_indices

SLICES, POSITIONS, CODES, REPEATS = 8, 4096, 8192, 3


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(CODES, 4, generator=generator)
    vectors = torch.randn(SLICES * POSITIONS, 4, generator=generator)
    methods = {
        "distance matrix": lambda: torch.cat([torch.cdist(v, codes).argmin(1) for v in vectors.split(POSITIONS)]),
        "k-d tree": lambda: nearest_code_indices(vectors, codes),
    }
    best = dict.fromkeys(methods, float("inf"))
    results = {}
    for _ in range(REPEATS):
        for name, method in methods.items():
            start = time.perf_counter()
            results[name] = method()
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"{torch.get_num_threads()} threads, best of {REPEATS}, {SLICES} slices")
    for name, seconds in best.items():
        print(f"{name:<16}{1000 * seconds / SLICES:8.1f} ms per slice")
    print("same indices:", torch.equal(*results.values()))


if __name__ == "__main__":
    main()
