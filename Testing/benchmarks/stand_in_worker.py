"""A worker without a model, for bench_panel.py --stand-in: it answers at once with copies of the input.

It speaks docs/worker-protocol.md and writes the files of a run with one class, so that nothing but the panel works.
"""

import json
import os
import sys
from pathlib import Path

import SimpleITK

SAMPLES, STEPS = 4, 20
PROVENANCE = {"notice": "Synthetic: a stand-in of a benchmark.", "synthetic": True, "predicted_is": "sample 1"}


def say(kind: str, **content) -> None:
    print(json.dumps({"type": kind, **content}), flush=True)


def predict(request: dict) -> None:
    identifier, out = request["id"], Path(request["out"])
    out.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.Cast(SimpleITK.ReadImage(request["image"]), SimpleITK.sitkFloat32)
    gtv = SimpleITK.Cast(SimpleITK.ReadImage(request["gtv"]), SimpleITK.sitkFloat32)

    def write(name: str, volume) -> str:
        SimpleITK.WriteImage(volume, str(out / f"{name}.nrrd"))
        return str(out / f"{name}.nrrd")

    samples = [write(f"sample_{number}", image * (1 + 0.1 * number * gtv)) for number in range(SAMPLES)]
    say("expected_ready", id=identifier, path=samples[1], slices=[])
    for step in range(STEPS):
        say("progress", id=identifier, sample=0, samples=SAMPLES, step=step + 1, steps=STEPS, fraction=step / STEPS)
    files = {
        "predicted": samples[0],
        "generated_mask": write("mask", SimpleITK.Cast(gtv, SimpleITK.sitkUInt8)),
        "expected": samples[1],
        "spread": write("spread", gtv * 10),
        "enhancement_probability": write("enhancement", gtv * 0.5),
        "samples": samples,
    }
    (out / "provenance.json").write_text(json.dumps(PROVENANCE), encoding="utf-8")
    result = {"class": "no class", "token_source": "none", "files": files}
    say("result", id=identifier, out=str(out), results=[result], provenance=str(out / "provenance.json"), seconds={})


for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        say("ready", protocol=message["protocol"], version="stand-in", pid=os.getpid())
    elif message["type"] == "predict":
        predict(message)
    elif message["type"] == "shutdown":
        break
