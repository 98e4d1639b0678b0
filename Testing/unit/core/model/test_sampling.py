"""Guidance, noise and samplers, on networks and problems whose answers are known."""

import math
from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from GBMResponseCore.errors import BundleSchemaError, GuidanceError, OptionError
from GBMResponseCore.model.networks import guided_output
from GBMResponseCore.model.noise import draw_noise
from GBMResponseCore.model.sampling import build_scheduler, expected_latents, sample_latents
from GBMResponseCore.request import SamplingOptions, check_guidance

from GBMResponseTraining.models.unet_config import noise_schedule

SHAPE = (4, 16, 16)
GOLDEN = (-0.005872189067304134, 1.1320576667785645, 0.44826391339302063)
FAST = ("unipc", "dpmpp")
POSITIONS = [-12.0, -9.0, -6.0, 3.5]


class TokenNetwork:
    """Output depends on the token, the input and the sources, item by item; counts calls and batch sizes."""

    def __init__(self):
        self.batches = []

    def __call__(self, noisy, sources, timestep, tokens, days=None):
        self.batches.append(len(noisy))
        return 0.3 * noisy + 0.1 * sources[:, :4] + tokens.view(-1, 1, 1, 1).float()


class GaussianPosterior:
    """Exact velocity for data ~ N(mean, sd): the probability-flow solution is known in closed form."""

    def __init__(self, mean, sd):
        self.mean, self.sd = mean, sd
        self.alphas = DDPMScheduler.from_config(noise_schedule("v_prediction")).alphas_cumprod.double()

    def __call__(self, noisy, sources, timestep, tokens, days=None):
        alpha, sigma = self.alphas[int(timestep)].sqrt(), (1 - self.alphas[int(timestep)]).sqrt()
        noisy = noisy.double()
        clean = (noisy * alpha * self.sd**2 + self.mean * sigma**2) / (alpha**2 * self.sd**2 + sigma**2)
        noise = (noisy - alpha * clean) / sigma
        return (alpha * noise - sigma * clean).float()

    def solution(self, start):
        alpha, sigma = self.alphas[-1].sqrt(), (1 - self.alphas[-1]).sqrt()
        scaled = (start.double() - alpha * self.mean) / torch.sqrt(alpha**2 * self.sd**2 + sigma**2)
        return self.mean + self.sd * scaled


def draw(network, options, *, positions=POSITIONS, seed=1, sample=0, tokens=None, sources=None, **more):
    count = len(positions)
    if options.noise_length is None:
        options = replace(options, noise_length=0.0)
    return sample_latents(
        network,
        noise_schedule("v_prediction"),
        options,
        torch.zeros(count, 8, 16, 16) if sources is None else sources,
        torch.zeros(count, dtype=torch.long) if tokens is None else tokens,
        null_token=6,
        seed=seed,
        sample=sample,
        positions_mm=positions,
        channels=4,
        **more,
    )


def expect(network, options, *, kind="v_prediction", tokens=None, second=None):
    count = len(POSITIONS)
    tokens = torch.zeros(count, dtype=torch.long) if tokens is None else tokens
    schedule = noise_schedule(kind)
    sources = torch.zeros(count, 8, 16, 16)
    return expected_latents(network, schedule, options, sources, tokens, null_token=6, channels=4, second=second)


class Recorder(TokenNetwork):
    """Keeps what it was asked first."""

    def __call__(self, noisy, *others):
        if not self.batches:
            self.first = noisy
        return super().__call__(noisy, *others)


class ClassPosterior:
    """Exact velocity for data of one value per token, so that the mean for each class is known."""

    def __init__(self):
        self.alphas = GaussianPosterior(0.0, 1.0).alphas
        self.batches, self.timesteps = [], []

    def __call__(self, noisy, sources, timestep, tokens, days=None):
        self.batches.append(len(noisy))
        self.timesteps.append(int(timestep))
        alpha, sigma = self.alphas[int(timestep)].sqrt(), (1 - self.alphas[int(timestep)]).sqrt()
        clean = tokens.view(-1, 1, 1, 1).double().expand_as(noisy)
        return (alpha * (noisy.double() - alpha * clean) / sigma - sigma * clean).float()


def test_the_expected_image_is_the_mean_of_the_data_by_one_evaluation_at_the_last_step():
    network = ClassPosterior()
    expected = expect(network, SamplingOptions(guidance_scale=1.0), tokens=torch.tensor([0, 1, 2, 5]))
    assert (network.batches, network.timesteps) == ([4], [999])
    torch.testing.assert_close(expected.mean(dim=(1, 2, 3)), torch.tensor([0.0, 1.0, 2.0, 5.0]), atol=1e-5, rtol=0)
    assert expected.std(dim=(1, 2, 3)).max() < 1e-6


def test_the_expected_image_of_spread_data_is_their_conditional_mean():
    network = GaussianPosterior(mean=0.7, sd=0.5)
    alpha = network.alphas[-1]
    conditional = 0.7 * (1 - alpha) / (alpha * 0.5**2 + 1 - alpha)  # of the data, given that x_T is 0
    torch.testing.assert_close(expect(network, SamplingOptions()), torch.full((4, *SHAPE), float(conditional)))


def test_the_expected_image_takes_the_noise_of_the_last_training_step():
    schedule = noise_schedule("v_prediction") | {"num_train_timesteps": 4}
    last = DDPMScheduler.from_config(schedule).alphas_cumprod[-1]
    expected = expected_latents(
        lambda noisy, *others, **more: torch.ones_like(noisy), schedule, SamplingOptions(steps=4),
        torch.zeros(1, 8, 2, 2), torch.zeros(1, dtype=torch.long), null_token=6, channels=4,
    )  # fmt: skip
    torch.testing.assert_close(expected, torch.full((1, 4, 2, 2), -float((1 - last).sqrt())), atol=0, rtol=1e-6)


def test_the_expected_image_is_guided_by_two_branches_in_one_batch():
    network, tokens = ClassPosterior(), torch.tensor([0, 1, 2, 5])
    expected = expect(network, SamplingOptions(guidance_scale=3.0), tokens=tokens)
    assert network.batches == [8]
    guided = 6.0 + 3.0 * (tokens - 6.0)
    torch.testing.assert_close(expected.mean(dim=(1, 2, 3)), guided, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale, branches", [(3.0, 3), (1.0, 2), (0.0, 1)])
def test_two_classes_are_mixed_in_one_batch_and_guided_as_one_class_is(scale, branches):
    network, tokens = ClassPosterior(), torch.zeros(4, dtype=torch.long)
    expected = expect(network, SamplingOptions(guidance_scale=scale), tokens=tokens, second=(2, 0.25))
    assert network.batches == [4 * branches]
    guided = 6.0 + scale * (0.25 * 2 - 6.0)
    torch.testing.assert_close(expected.mean(dim=(1, 2, 3)), torch.full((4,), guided), atol=1e-4, rtol=0)


def test_samples_of_two_classes_are_mixed_in_every_step():
    network, tokens = ClassPosterior(), torch.zeros(4, dtype=torch.long)
    mixed = draw(network, SamplingOptions("unipc", 3, 1.0), tokens=tokens, second=(2, 0.25))
    assert network.batches == [8, 8, 8]
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), torch.full((4,), 0.5), atol=0.02, rtol=0)


def test_a_network_that_predicts_the_image_says_the_expected_image():
    schedule = noise_schedule("v_prediction") | {"prediction_type": "sample"}
    sources, tokens = torch.zeros(2, 8, 16, 16), torch.tensor([3, 4])
    expected = expected_latents(TokenNetwork(), schedule, SamplingOptions(), sources, tokens, null_token=6, channels=4)
    assert expected.mean(dim=(1, 2, 3)).tolist() == [3.0, 4.0]


def test_a_network_that_predicts_noise_is_not_asked_for_the_expected_image():
    with pytest.raises(ValueError, match="predicts noise"):
        expect(TokenNetwork(), SamplingOptions(), kind="epsilon")


@pytest.mark.parametrize("sample", [0, 2])
def test_the_starts_of_an_antithetic_pair_sum_to_zero(sample):
    first, second = Recorder(), Recorder()
    draw(first, SamplingOptions("unipc", 2), sample=sample)
    draw(second, SamplingOptions("unipc", 2), sample=sample + 1)
    assert torch.equal(first.first, draw_noise(1, sample // 2, POSITIONS, SHAPE))
    assert torch.equal(second.first, -first.first)


@pytest.mark.parametrize(
    "options",
    [SamplingOptions("ddim", 10, eta=1.0), SamplingOptions("ddpm", 10), *(SamplingOptions(s, 5) for s in FAST)],
    ids=lambda options: options.sampler,
)
def test_the_steps_of_a_pair_take_opposite_noise(options):
    """The network is linear, so nothing but the noise makes the result."""
    first, second = (draw(TokenNetwork(), options, sample=sample) for sample in (0, 1))
    assert first.abs().max() > 0.1
    assert torch.equal(second, -first)


def test_eta_adds_noise_to_the_steps_of_ddim():
    drawn = [draw(TokenNetwork(), SamplingOptions("ddim", 4, eta=eta)) for eta in (0.0, 0.5, 1.0)]
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])


def test_every_step_is_told_and_the_one_who_is_told_may_stop():
    told = []

    def stop(step):
        told.append(step)
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(TokenNetwork(), SamplingOptions("ddim", 4), on_step=stop)
    assert told == [1, 2, 3]


def test_the_noise_length_is_that_of_the_start_noise():
    network = Recorder()
    draw(network, SamplingOptions("unipc", 2, noise_length=9.0))
    assert torch.equal(network.first, draw_noise(1, 0, POSITIONS, SHAPE, 9.0))


@pytest.mark.parametrize("sampler", ["unipc", "dpmpp", "ddim"])
def test_the_mean_of_a_pair_is_the_mean_of_the_data(sampler):
    network = GaussianPosterior(mean=0.7, sd=0.5)
    pair = sum(draw(network, SamplingOptions(sampler, 50), sample=sample) for sample in (0, 1)) / 2
    assert pair.std() < 1e-4
    assert pair.mean().item() == pytest.approx(0.7, abs=0.02)


def test_the_noise_of_the_first_samples_is_that_of_earlier_versions():
    torch.testing.assert_close(draw_noise(1, 0, [3.5], (1, 1, 3)).flatten(), torch.tensor(GOLDEN))


def test_guidance_calls_the_network_once_per_step_with_twice_the_batch():
    network = TokenNetwork()
    draw(network, SamplingOptions("unipc", 5, guidance_scale=3.0))
    assert network.batches == [8] * 5


def test_scale_one_calls_the_network_with_the_plain_batch():
    network = TokenNetwork()
    draw(network, SamplingOptions("unipc", 5, guidance_scale=1.0))
    assert network.batches == [4] * 5


def test_scale_zero_calls_the_network_with_the_plain_batch_and_no_class():
    network, unconditional = TokenNetwork(), TokenNetwork()
    guided = draw(network, SamplingOptions("unipc", 5, guidance_scale=0.0), tokens=torch.full((4,), 2))
    assert network.batches == [4] * 5
    without = draw(unconditional, SamplingOptions("unipc", 5, guidance_scale=1.0), tokens=torch.full((4,), 6))
    assert torch.equal(guided, without)


def test_guidance_without_a_class_is_one_branch_with_the_same_result():
    network, tokens = TokenNetwork(), torch.full((4,), 6)
    guided = draw(network, SamplingOptions("unipc", 5, guidance_scale=3.0), tokens=tokens)
    assert network.batches == [4] * 5
    assert torch.equal(guided, draw(TokenNetwork(), SamplingOptions("unipc", 5, guidance_scale=1.0), tokens=tokens))


def test_a_batch_in_which_only_some_have_no_class_is_guided():
    network = TokenNetwork()
    draw(network, SamplingOptions("unipc", 2, guidance_scale=3.0), tokens=torch.tensor([6, 6, 2, 6]))
    assert network.batches == [8] * 2


@pytest.mark.parametrize(("scale", "token"), [(1.0, 2), (0.0, 6)])
def test_scale_one_is_conditional_and_zero_is_unconditional(scale, token):
    noisy, sources = torch.randn(3, *SHAPE), torch.randn(3, 8, 16, 16)
    tokens = torch.full((3,), 2)
    guided = guided_output(TokenNetwork(), noisy, sources, torch.tensor(500), tokens, 6, scale)
    expected = TokenNetwork()(noisy, sources, torch.tensor(500), torch.full((3,), token))
    torch.testing.assert_close(guided, expected)


def test_guidance_extrapolates_from_the_unconditional_output():
    noisy, sources = torch.zeros(1, *SHAPE), torch.zeros(1, 8, 16, 16)
    guided = guided_output(TokenNetwork(), noisy, sources, torch.tensor(1), torch.tensor([2]), 6, 10.0)
    assert guided.unique().item() == pytest.approx(6 + 10 * (2 - 6))


def test_algorithm2_of_the_paper_is_the_standard_form_with_one_minus_s():
    assert SamplingOptions(guidance_scale=10.0, guidance_form="algorithm2").standard_guidance_scale == -9.0


def test_guidance_is_refused_without_label_dropout():
    with pytest.raises(GuidanceError, match="label dropout"):
        check_guidance(SamplingOptions(guidance_scale=2.0), label_dropout=0.0, uses_class=True)


def test_guidance_is_refused_without_classes():
    with pytest.raises(GuidanceError, match="classes"):
        check_guidance(SamplingOptions(guidance_scale=0.0), label_dropout=0.1, uses_class=False)


def test_the_conditional_model_needs_no_label_dropout():
    check_guidance(SamplingOptions(guidance_scale=1.0), label_dropout=0.0, uses_class=True)


@pytest.mark.parametrize(
    ("sampler", "steps", "bound"),
    [("unipc", 10, 0.03), ("unipc", 20, 0.01), ("dpmpp", 15, 0.01), ("ddim", 50, 0.05), ("ddim", 200, 0.012)],
)
def test_deterministic_samplers_reach_the_analytic_solution(sampler, steps, bound):
    network = GaussianPosterior(mean=0.7, sd=0.5)
    result = draw(network, SamplingOptions(sampler, steps)).double()
    exact = network.solution(draw_noise(1, 0, POSITIONS, SHAPE))
    assert (result - exact).norm() / exact.norm() < bound


@pytest.mark.parametrize("options", [SamplingOptions("ddim", 200, eta=1.0), SamplingOptions("ddpm", 500)])
def test_stochastic_samplers_reach_the_right_distribution(options):
    result = draw(GaussianPosterior(mean=0.7, sd=0.5), options)
    assert result.mean().item() == pytest.approx(0.7, abs=0.03)
    assert result.std().item() == pytest.approx(0.5, abs=0.04)


DIFFUSERS_OWN = {
    "unipc": lambda common: UniPCMultistepScheduler(**common, use_exponential_sigmas=True),
    "dpmpp": lambda common: DPMSolverMultistepScheduler(**common, use_lu_lambdas=True),
    "ddim": lambda common: DDIMScheduler(
        **common, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading"
    ),
}


@pytest.mark.parametrize("sampler", sorted(DIFFUSERS_OWN))
def test_the_loop_agrees_with_diffusers_stepped_by_hand(sampler):
    common = {k: v for k, v in noise_schedule("v_prediction").items() if k not in ("_class_name", "clip_sample")}
    scheduler = DIFFUSERS_OWN[sampler](common)
    scheduler.set_timesteps(10)
    latents = draw_noise(1, 0, POSITIONS, SHAPE)
    sources, tokens = torch.zeros(4, 8, 16, 16), torch.zeros(4, dtype=torch.long)
    for timestep in scheduler.timesteps:
        latents = scheduler.step(TokenNetwork()(latents, sources, timestep, tokens), timestep, latents).prev_sample
    torch.testing.assert_close(draw(TokenNetwork(), SamplingOptions(sampler, 10)), latents)


def test_ddim_visits_the_papers_time_steps():
    timesteps = build_scheduler(noise_schedule("v_prediction"), SamplingOptions("ddim", 200)).timesteps.tolist()
    assert timesteps == list(range(996, 0, -5))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_all_thousand_steps_are_possible(sampler):
    timesteps = build_scheduler(noise_schedule("v_prediction"), SamplingOptions(sampler, 1000)).timesteps.tolist()
    assert timesteps == list(range(999, -1, -1))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("steps", [steps for steps in range(1, 1001) if 1000 % steps == 0])
def test_every_number_of_steps_starts_where_hardly_any_of_the_image_is_left(sampler, steps):
    schedule = noise_schedule("v_prediction")
    scheduler = build_scheduler(schedule, SamplingOptions(sampler, steps))
    assert len(scheduler.timesteps) == steps
    assert scheduler.alphas_cumprod[scheduler.timesteps[0]].sqrt() < 0.1


@pytest.mark.parametrize("steps", [1, 2])
def test_one_or_two_steps_of_ddim_reach_the_mean_of_the_data(steps):
    network = GaussianPosterior(mean=0.7, sd=0.05)
    result = draw(network, SamplingOptions("ddim", steps))
    assert result.mean().item() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"rescale_betas_zero_snr": True},
        {"trained_betas": [0.1]},
        {"clip_sample": True},
        {"beta_start": None},
    ],
)
def test_a_schedule_that_would_be_misunderstood_is_refused(change):
    schedule = {key: value for key, value in {**noise_schedule("epsilon"), **change}.items() if value is not None}
    with pytest.raises(BundleSchemaError, match="noise schedule"):
        build_scheduler(schedule, SamplingOptions("unipc", 5))


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 200), ("ddpm", 8), ("unipc", 501)])
def test_steps_that_do_not_fit_a_schedule_of_another_length_are_refused(sampler, steps):
    with pytest.raises(OptionError, match="divisor of 500"):
        build_scheduler(noise_schedule("epsilon") | {"num_train_timesteps": 500}, SamplingOptions(sampler, steps))


@pytest.mark.parametrize("sampler", ["unipc", "dpmpp"])
def test_fast_samplers_start_at_the_noisy_end_and_reach_the_clean_end(sampler):
    timesteps = build_scheduler(noise_schedule("v_prediction"), SamplingOptions(sampler, 10)).timesteps.tolist()
    assert timesteps[0] >= 998
    assert timesteps[-1] == 0


def test_noise_belongs_to_the_physical_slice():
    every = draw_noise(7, 0, POSITIONS, SHAPE)
    reversed_subset = draw_noise(7, 0, [POSITIONS[2], POSITIONS[0]], SHAPE)
    assert torch.equal(reversed_subset, every[[2, 0]])


@pytest.mark.parametrize("other", [{"seed": 8}, {"pair": 1}, {"positions_mm": [-12.0, -9.0, -6.0, 3.7]}])
def test_noise_differs_between_seeds_pairs_and_slices(other):
    base = {"seed": 7, "pair": 0, "positions_mm": POSITIONS, "shape": SHAPE}
    assert not torch.equal(draw_noise(**base)[-1], draw_noise(**{**base, **other})[-1])


def test_noise_is_standard_normal():
    noise = draw_noise(3, 0, [float(z) for z in range(40)], (4, 64, 64))
    assert noise.mean().item() == pytest.approx(0.0, abs=5 / math.sqrt(noise.numel()))
    assert noise.std().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("sampler", ["unipc", "dpmpp", "ddim"])
def test_the_temperature_is_a_factor_on_the_start_noise(sampler):
    network = GaussianPosterior(mean=0.7, sd=0.5)
    usual, same, cold, none = (
        draw(network, SamplingOptions(sampler, 50, temperature=factor)) for factor in (None, 1.0, 0.5, 0.0)
    )
    assert torch.equal(usual, same)
    # The flow of a Gaussian is linear, so a factor on the start noise is one on the deviation from that of no noise.
    torch.testing.assert_close(cold - none, 0.5 * (usual - none), atol=1e-4, rtol=1e-4)
    assert none.std() < 1e-5 < cold.std()


@pytest.mark.parametrize("options", [SamplingOptions("unipc", 4), SamplingOptions("ddim", 4, eta=1.0)])
def test_the_result_does_not_depend_on_the_batch(options):
    sources = torch.randn(4, 8, 16, 16)
    together = draw(TokenNetwork(), options, sources=sources)
    alone = [draw(TokenNetwork(), options, positions=[z], sources=sources[k : k + 1]) for k, z in enumerate(POSITIONS)]
    torch.testing.assert_close(torch.cat(alone), together)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampler": "euler"},
        {"steps": 0},
        {"sampler": "ddim", "steps": 300},
        {"eta": 2.0},
        {"sampler": "unipc", "eta": 0.5},
        {"guidance_form": "paper"},
        {"guidance_scale": float("nan")},
    ],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(OptionError):
        SamplingOptions(**wrong)
