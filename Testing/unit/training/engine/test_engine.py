"""Training stages: killed runs, accumulation and several devices make no difference."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from GBMResponseCore.errors import OutputFolderError
from lightning.pytorch.callbacks import Callback
from rows import share
from small_file_limit import small_file_limit

from GBMResponseTraining.engine.checkpoints import FINISHED, LAST, completed_steps
from GBMResponseTraining.engine.fit import fit
from GBMResponseTraining.engine.stream import StreamSampler
from GBMResponseTraining.items.slices import Fixed
from GBMResponseTraining.models.autoencoder import AutoencoderModule, hinge
from GBMResponseTraining.models.diffusion import DiffusionModule
from GBMResponseTraining.models.optimization import DivergedError
from GBMResponseTraining.models.unet_config import noise_schedule, unet_config
from GBMResponseTraining.settings.networks import Adversarial
from GBMResponseTraining.settings.reader import load_configuration

SMOKE = load_configuration("smoke")
STEPS = 6
EMPTY = Fixed(lambda row: row, [])


class KillAfter(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def latent_item(rng, index):
    return {
        "sources": torch.from_numpy(rng.standard_normal((8, 16, 16), dtype="float32")),
        "target": torch.from_numpy(rng.standard_normal((4, 16, 16), dtype="float32")),
        "noise": torch.from_numpy(rng.standard_normal((4, 16, 16), dtype="float32")),
        "gtv": torch.from_numpy(rng.random((1, 16, 16), dtype="float32")),
        "token": torch.tensor(int(rng.integers(7))),
        "timestep": torch.tensor(int(rng.integers(1000))),
        "days": torch.tensor(float("nan")),
    }


def image_item(rng, index):
    return torch.from_numpy(rng.uniform(-1, 1, (1, 32, 32)).astype("float32"))


def validation(make_item):
    return Fixed(lambda row: make_item(np.random.default_rng([9, row]), row), range(3))


def training(**changes):
    base = dataclasses.replace(SMOKE.diffusion.training, steps=STEPS, learning_rate=1e-2)
    return dataclasses.replace(base, **changes)


def diffusion(settings, **changes):
    torch.manual_seed(0)
    options = dataclasses.replace(SMOKE.diffusion, training=settings, gtv_weight=1.0, **changes)
    unet = unet_config(options, 7, latent_channels=4, latent_size=16)
    return DiffusionModule(options, unet, noise_schedule(options.prediction), settings.steps)


def autoencoder(settings, **changes):
    torch.manual_seed(0)
    # The discriminator starts at step 2, quantization at step 3.
    adversarial = Adversarial(start_step=2, channels=32, layers=1)
    options = dataclasses.replace(SMOKE.image_autoencoder, training=settings, adversarial=adversarial, **changes)
    return AutoencoderModule(options, settings.steps)


KINDS = {"diffusion": (diffusion, latent_item), "autoencoder": (autoencoder, image_item)}


def run(folder, kind="diffusion", callbacks=(), held_out=None, **changes):
    make, make_item = KINDS[kind]
    settings = training(**changes)
    module = make(settings)
    validated = validation(make_item) if held_out is None else held_out
    report = fit(module, make_item, validated, folder, settings, epoch_items=8, seed=5, callbacks=callbacks)
    return module, report


def assert_equal(expected, actual):
    for (name, one), other in zip(expected.state_dict().items(), actual.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.fixture(scope="module", params=sorted(KINDS))
def whole(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, *run(folder, request.param)


@pytest.mark.parametrize("step", share(range(1, STEPS), 1))
def test_a_run_that_is_killed_at_any_step_continues_identically(whole, step, tmp_path):
    kind, folder, expected, report = whole
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path, kind, [KillAfter(step)])
    assert not (tmp_path / FINISHED).exists()
    continued, again = run(tmp_path, kind)
    assert_equal(expected, continued)
    assert again["selected_step"] == report["selected_step"]
    one, other = (torch.load(place / LAST, weights_only=True)["state_dict"] for place in (folder, tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)


class KillBeforeValidation(Callback):
    def __init__(self, step):
        self.step = step

    def on_validation_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def validated_steps(folder):
    """Steps whose validation is in the logs, the last log of each."""
    return sorted({int(row["step"]) for path in folder.glob("from_step_*") for row in metrics(path) if row["val_loss"]})


@pytest.mark.parametrize("step", share([2, 4], 1))
def test_a_run_that_is_killed_before_a_validation_makes_up_for_it(step, tmp_path):
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path, callbacks=[KillBeforeValidation(step)])
    run(tmp_path)
    assert validated_steps(tmp_path) == [1, 3, 5]


class KillTwice(Callback):
    """After the first of two accumulated batches of the step after `step`."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, module, batch, batch_index):
        if trainer.global_step == self.step and batch_index % 2:
            raise KeyboardInterrupt


def test_a_run_that_is_killed_repeatedly_within_accumulated_steps_continues_identically(tmp_path):
    changes = {"batch_size": 2, "accumulate": 2, "checkpoint_every": 1}
    expected, _ = run(tmp_path / "whole", **changes)
    for step in (2, 2, 3):
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(tmp_path / "killed", callbacks=[KillTwice(step)], **changes)
    assert_equal(expected, run(tmp_path / "killed", **changes)[0])


def test_a_run_that_stopped_early_but_was_killed_before_the_report_stays_stopped(tmp_path):
    changes = {"steps": 40, "learning_rate": 1e-30, "patience": 1}
    _, report = run(tmp_path, **changes)
    (tmp_path / FINISHED).unlink()
    _, again = run(tmp_path, **changes)
    assert (again["steps"], again["selected_step"]) == (report["steps"], report["selected_step"])


def test_a_full_disk_is_reported_and_leaves_the_checkpoint_before(tmp_path):
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path, "autoencoder", [KillAfter(3)])
    before = (tmp_path / LAST).read_bytes()
    with small_file_limit(20_000), pytest.raises(OutputFolderError, match="ckpt"):
        run(tmp_path, "autoencoder")
    assert (tmp_path / LAST).read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_finished_run_is_loaded_not_repeated(whole):
    kind, folder, expected, _ = whole
    again, _ = run(folder, kind, [KillAfter(1)])
    assert_equal(expected, again)


def test_two_batches_accumulated_are_one_of_twice_the_size(tmp_path):
    one, _ = run(tmp_path / "one", held_out=EMPTY, batch_size=4, learning_rate=1e-4)
    two, _ = run(tmp_path / "two", held_out=EMPTY, batch_size=2, accumulate=2, learning_rate=1e-4)
    for expected, actual in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-3)


def test_an_autoencoder_takes_one_step_per_accumulated_batches(tmp_path):
    _, report = run(tmp_path, "autoencoder", held_out=EMPTY, batch_size=2, accumulate=2)
    assert report["steps"] == STEPS
    assert report["items_per_step"] == 4


def test_the_selected_weights_are_those_of_the_best_validation(tmp_path):
    module, report = run(tmp_path, learning_rate=0.5)
    losses = [float(batch["val_loss"]) for batch in read_metrics(tmp_path) if batch.get("val_loss")]
    assert report["selected_step"] == 2 * (int(np.argmin(losses)) + 1)
    assert not module.training


def read_metrics(folder):
    return metrics(folder / "from_step_000000")


def metrics(log):
    with (log / "metrics.csv").open() as file:
        return [{"val_loss": "", **row} for row in csv.DictReader(file)]


def test_a_run_stops_early_without_improvement(tmp_path):
    _, report = run(tmp_path, steps=40, learning_rate=1e-30, patience=1)
    assert report["stopped_early"]
    assert report["steps"] == 4
    assert json.loads((tmp_path / FINISHED).read_text())["planned_steps"] == 40


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("select", ["best", "last"])
def test_weights_that_are_no_numbers_are_no_result(select, kind, tmp_path):
    with pytest.raises(DivergedError):
        run(tmp_path, kind, learning_rate=1e30, select=select)
    assert not (tmp_path / FINISHED).exists()


def test_the_last_weights_are_selected_where_asked(tmp_path):
    _, report = run(tmp_path, select="last")
    assert (report["selected"], report["selected_step"]) == (LAST, STEPS)


def test_a_folder_without_checkpoint_has_no_steps(tmp_path):
    assert completed_steps(tmp_path / LAST) == 0


def test_logs_for_tensorboard_are_written(whole):
    assert list((whole[1] / "tensorboard").glob("events*"))


def test_processes_share_the_items_of_a_stream():
    alone = list(StreamSampler(0, 3, batch_size=4))
    shared = [list(StreamSampler(0, 3, batch_size=2, rank=rank, processes=2)) for rank in (0, 1)]
    together = [index for step in range(3) for rank in (0, 1) for index in shared[rank][2 * step : 2 * step + 2]]
    assert together == alone == list(range(12))


def test_a_continued_stream_starts_at_the_first_unused_batch():
    assert list(StreamSampler(2, 3, batch_size=4)) == [8, 9, 10, 11]


def test_training_moves_weights_and_their_average(tmp_path):
    fresh, (trained, _) = diffusion(training()), run(tmp_path)
    for part in ("denoiser", "ema"):
        before, after = (next(getattr(module, part).parameters()) for module in (fresh, trained))
        assert not torch.equal(before, after)
    assert not torch.equal(next(trained.denoiser.parameters()), next(trained.ema.parameters()))


def test_the_average_keeps_no_history_of_gradients(tmp_path):
    module, report = run(tmp_path)
    assert not any(parameter.requires_grad for parameter in module.ema.parameters())
    assert report["parameters"] == sum(parameter.numel() for parameter in module.denoiser.parameters())


def batch_of(count):
    items = [latent_item(np.random.default_rng(index), index) for index in range(count)]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_the_loss_of_a_perfect_prediction_is_zero(prediction):
    subject, batch = diffusion(training(), prediction=prediction), batch_of(3)

    def perfect(noisy, sources, timesteps, tokens, days):
        alpha = subject.schedule.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        velocity = alpha.sqrt() * batch["noise"] - (1 - alpha).sqrt() * batch["target"]
        return velocity if prediction == "v_prediction" else batch["noise"]

    assert subject.loss(perfect, batch).item() == pytest.approx(0.0, abs=1e-6)


def test_min_snr_weights_lie_below_one_and_fall_towards_clean_images():
    for prediction in ("v_prediction", "epsilon"):
        subject = diffusion(training(), prediction=prediction, min_snr_gamma=5.0)
        weights = subject._importance(torch.tensor([1, 300]))
        assert weights[0] < weights[1] <= 1.0


def test_the_codebook_is_filled_once_when_quantization_begins(tmp_path):
    module, _ = run(tmp_path, "autoencoder", held_out=EMPTY)
    assert module.quantize_from == STEPS // 2
    assert module.codebook_filled


def test_the_discriminator_learns_from_its_start_step_on(tmp_path):
    fresh = autoencoder(training())
    short, _ = run(tmp_path / "short", "autoencoder", held_out=EMPTY, steps=2)
    long, _ = run(tmp_path / "long", "autoencoder", held_out=EMPTY)
    before, untouched, after = (next(module.discriminator.parameters()) for module in (fresh, short, long))
    assert torch.equal(before, untouched)
    assert not torch.equal(before, after)


def test_the_discriminator_has_nothing_to_learn_beyond_the_margin():
    real, fake = torch.tensor([1.0, 5.0]), torch.tensor([-1.0, -3.0])
    assert hinge(real, fake) == 0


def test_the_hinge_loss_counts_verdicts_on_the_wrong_side_of_the_margin():
    real, fake = torch.tensor([-2.0, 1.0]), torch.tensor([0.0, 0.0])
    assert hinge(real, fake).item() == pytest.approx(0.5 * (1.5 + 1.0))


def test_the_autoencoder_is_judged_by_the_verdict_itself(tmp_path):
    module, _ = run(tmp_path, "autoencoder", held_out=EMPTY)
    reconstruction = torch.full((1, 1, 32, 32), 0.3)
    verdict = module.discriminator(reconstruction)[-1].mean()
    assert module.fooling(reconstruction).item() == pytest.approx(-verdict.item())
