"""The page on CFB-GBM says what the benchmark counts."""

from pathlib import Path

import pytest
from benchmarks import training_cost
from rows import nightly

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "cfb-gbm.md").read_text("utf-8")


@pytest.fixture(scope="module")
def printed():
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("sys.argv", ["training_cost.py"])
        patch.setattr("builtins.print", lambda *words: lines.append(" ".join(map(str, words))))
        training_cost.main()
    return lines


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("image_autoencoder", "image VQ-VAE"),
        ("gtv_autoencoder", "GTV VQ-VAE"),
        ("no-class", "diffusion, no class"),
        ("2-class", "diffusion, each of the three with class"),
    ],
)
def test_parameters_work_steps_and_hours_are_those_counted(printed, name, row):
    parameters, work, steps, hours = next(line for line in printed if line.startswith(name)).split()[1:5]
    cells = next(line for line in PAGE.splitlines() if line.startswith(f"| {row}")).split("|")[2:6]
    assert f"{parameters} M" in cells[0]
    assert cells[1].split()[0] == work
    assert cells[2].strip() == f"{int(steps):,}"
    assert cells[3].split(",")[0].strip() == hours


def test_memory_and_folders_are_those_counted(printed):
    weights, kept = next(line for line in printed if line.startswith("2-class")).split()[5:7]
    cells = " | ".join(f"{value:.1f}" for value in (float(weights), float(kept), float(kept) / 2))
    assert f"| diffusion with class, 30 slices | {cells} |" in PAGE
    store, latents = (next(line for line in printed if line.startswith(name)) for name in ("store", "latents"))
    assert f"| {float(store.split()[1]):.1f} GB | {store.split('(')[1].split(' a')[0]} a slice" in PAGE
    assert f"| {float(latents.split()[1]):.1f} GB | {latents.split('(')[1].split(' a')[0]} a slice" in PAGE


@nightly
def test_another_preset_is_counted_too(monkeypatch, capsys):
    """With folded latents, neighbors, and the class in the time embedding."""
    monkeypatch.setattr("sys.argv", ["training_cost.py", "--preset", "small"])
    training_cost.main()
    assert "2-class" in capsys.readouterr().out
