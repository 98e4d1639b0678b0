"""Training stages: a run that was killed continues as if it had not been."""

import numpy
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from GBMResponseTraining.diffusion import DiffusionModule
from GBMResponseTraining.engine import completed_steps, fit
from GBMResponseTraining.recipes import NOISE_SCHEDULE, folded_unet

STEPS = 6


def make_item(rng):
    return {
        "sources": torch.from_numpy(rng.standard_normal((8, 8, 8), dtype="float32")),
        "target": torch.from_numpy(rng.standard_normal((4, 8, 8), dtype="float32")),
        "gtv": torch.zeros(1, 8, 8),
        "token": torch.tensor(int(rng.integers(6))),
    }


def module(**changes):
    torch.manual_seed(0)
    options = {
        "null_token": 6, "label_dropout": 0.5, "gtv_weight": 1.0, "steps": STEPS, "learning_rate": 1e-2,
        "ema_decay": 0.9, "seed": 3,
    }  # fmt: skip
    return DiffusionModule(folded_unet((16, 16), 1, (2, 2), 8), 1, NOISE_SCHEDULE, **{**options, **changes})


def run(folder, callbacks=None, **changes):
    options = {"steps": STEPS, "batch_size": 2, "seed": 5, "checkpoint_every": 2, **changes}
    return fit(module(), make_item, folder, callbacks=callbacks, **options)


class KillAfter(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def test_a_killed_run_continues_identically(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path / "killed", [KillAfter(3)])
    assert completed_steps(tmp_path / "killed" / "last.ckpt") == 2
    continued = run(tmp_path / "killed")
    for (name, expected), actual in zip(whole.state_dict().items(), continued.state_dict().values(), strict=True):
        assert torch.equal(expected, actual), name


def test_a_finished_run_is_loaded_not_repeated(tmp_path):
    whole = run(tmp_path)
    again = run(tmp_path, [KillAfter(1)])
    assert torch.equal(next(whole.parameters()), next(again.parameters()))


def test_training_moves_weights_and_their_average(tmp_path):
    fresh, trained = module(), run(tmp_path)
    for part in ("denoiser", "ema"):
        before, after = (next(getattr(m, part).parameters()) for m in (fresh, trained))
        assert not torch.equal(before, after)
    assert not torch.equal(next(trained.denoiser.parameters()), next(trained.ema.parameters()))


def tokens_seen(dropout):
    seen = []
    batch = {key: torch.stack([value] * 64) for key, value in make_item(numpy.random.default_rng(0)).items()}
    subject = module(label_dropout=dropout)

    def record(noisy, sources, timesteps, tokens):
        seen.extend(tokens.tolist())
        return noisy

    subject.loss(record, batch, seed=1)
    return seen


def test_label_dropout_zero_never_shows_the_null_class():
    assert 6 not in tokens_seen(0.0)


def test_label_dropout_shows_the_null_class_in_its_share():
    assert 16 < tokens_seen(0.5).count(6) < 48


def test_the_loss_of_a_perfect_velocity_is_zero():
    subject = module()
    batch = {key: value[None] for key, value in make_item(numpy.random.default_rng(0)).items()}

    def perfect(noisy, sources, timesteps, tokens):
        alpha = subject.schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        noise = (noisy - alpha.sqrt() * batch["target"]) / (1 - alpha).sqrt()
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * batch["target"]

    assert subject.loss(perfect, batch, seed=2).item() == pytest.approx(0.0, abs=1e-6)
