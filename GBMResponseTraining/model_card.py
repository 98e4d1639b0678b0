"""MODEL_CARD.md of a bundle, written from its description and its held-out figures."""

from typing import Any

_COLUMNS = (
    ("PSNR", "psnr", "{:.2f}"),
    ("PSNR local", "psnr_local", "{:.2f}"),
    ("SSIM", "ssim", "{:.3f}"),
    ("SSIM local", "ssim_local", "{:.3f}"),
    ("MSE", "mse", "{:.4f}"),
    ("MSE local", "mse_local", "{:.4f}"),
)

_LIMITS = """## What these models are not

- They were trained on **simulated** patients: the growth, treatment and survival rules are invented and plausible by
  eye only. No figure measured on simulated patients says anything about real ones.
- No image pair of a real patient was used to train the prediction. Real T1-Gd slices served the image autoencoder only.
- The real test cases are after chemoradiation to progression, not before it to four months after, and their slice
  spacing and left/right orientation were inferred. They show that the software runs on scanner data, nothing more.
- Axial slices are predicted one by one. No clinical claim is made; every output is synthetic.
- Copying the pre-treatment image is the baseline to beat. Where a table shows that it wins, it wins.
"""


def model_card(description: dict[str, Any], recipe: dict[str, Any], evaluation: dict[str, Any], notes: str = "") -> str:
    """Return the Markdown text of the card; `notes` tell how this run differed from a plain run of the recipe."""
    simulated = evaluation["simulated"]
    parts = [
        f"# {description['name']} {description['version']}",
        f"{description['description']} {description['intended_use']}",
        "All outputs are **synthetic**. Method: Leclercq et al., doi 10.1007/978-3-032-05472-2_18.",
        _LIMITS,
        "## Training",
        f"Data: {description['training_data']} Held out from all training: the anatomies "
        f"{', '.join(recipe['test_anatomies'])} and the real cases named below. Licences and notices: `NOTICE`.",
        _recipe_table(recipe),
        _scheme_table(description),
        "Losses: VQ-VAEs L1 + codebook + commitment, no perceptual and no adversarial term (the paper's has a "
        "PatchGAN); diffusion model velocity prediction "
        f"of {'the change from the pre latent' if recipe['predict_change'] else 'the post latent'} with label dropout "
        f"{recipe['label_dropout']}, loss weight {1 + recipe['gtv_weight']:g} inside the GTV, moving average "
        f"{recipe['ema_decay']}; classifier trained on five sixths of the patients, its temperature "
        f"({description['classifier']['temperature']:g}) fitted on the others. One command repeats it: "
        "`gbmresponse-train demo-bundle`.",
        notes,
        "## Held-out figures",
        "Slices are normalised to [-1, 1] (data range 2). `local` means inside the pre-treatment GTV. Values are the "
        "mean ± SD over slices; in brackets the 95 % bootstrap interval of the mean over patients. One sample per "
        f"slice, {recipe['sampling']['sampler']} with {recipe['sampling']['steps']} steps, seed 1.",
        f"### Simulated patients on an anatomy never seen ({simulated['patients']} patients, "
        f"{simulated['slices']} slices)",
        _metrics_table(simulated["table"]),
        _class_effect(simulated),
    ]
    if "real" in evaluation:
        real = evaluation["real"]
        vq, effect = real["vq_vae_pre"], real["class_effect"]
        parts += [
            f"### Real pairs, Brain-Tumor-Progression cases {', '.join(real['cases'])} ({real['slices']} slices)",
            "Never trained on, by any network. The follow-up is registered rigidly; each image has its own intensity "
            "scale, so scanner differences count as error for every row.",
            _metrics_table(real["table"]),
            f"Image VQ-VAE on the pre-treatment slices of these cases: PSNR {vq['psnr']:.2f} dB, SSIM "
            f"{vq['ssim']:.3f}, MSE {vq['mse']:.5f}.",
            f"Short against long class under identical noise: mean absolute difference "
            f"{effect['mean_absolute_difference_gtv']:.3f} inside and "
            f"{effect['mean_absolute_difference_elsewhere']:.4f} outside the GTV (range 2); enhancing pixels per slice "
            f"{effect['enhancing_pixels_short']:.0f} against {effect['enhancing_pixels_long']:.0f}.",
        ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _metrics_table(rows: dict[str, Any]) -> str:
    lines = [
        "| prediction | " + " | ".join(title for title, _, _ in _COLUMNS) + " |",
        "|---|" + "---|" * len(_COLUMNS),
    ]
    for name, metrics in rows.items():
        cells = [_cell(metrics[key], form) for _, key, form in _COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: dict[str, float], form: str) -> str:
    mean, sd, low, high = (form.format(value[key]) for key in ("mean", "sd", "ci_low", "ci_high"))
    return f"{mean} ± {sd} [{low}, {high}]"


def _recipe_table(recipe: dict[str, Any]) -> str:
    rows = [
        ("image VQ-VAE", "image_training"),
        ("GTV VQ-VAE", "gtv_training"),
        ("survival classifier", "classifier_training"),
        ("diffusion UNet", "diffusion_training"),
    ]
    lines = ["| network | steps | batch | learning rate |", "|---|---|---|---|"]
    for name, key in rows:
        training = recipe[key]
        lines.append(f"| {name} | {training['steps']} | {training['batch_size']} | {training['learning_rate']:g} |")
    return "\n".join(lines)


def _scheme_table(description: dict[str, Any]) -> str:
    lines = [
        "Survival classes (quantiles of the simulated training patients, days from the start of treatment):",
        "",
        "| scheme | class | from | to |",
        "|---|---|---|---|",
    ]
    for scheme, classes in description["conditioning"]["schemes"].items():
        for entry in classes:
            upper = "-" if entry["max_days"] is None else f"{entry['max_days']:g}"
            lines.append(f"| {scheme} | {entry['name']} | {entry['min_days']:g} | {upper} |")
    return "\n".join(lines)


def _class_effect(simulated: dict[str, Any]) -> str:
    effect, true, classifier = simulated["class_effect"], simulated["true_class_effect"], simulated["classifier"]
    text = (
        "Effect of the class, short against long under identical noise (paired what-if): mean absolute difference "
        f"{effect['mean_absolute_difference_gtv']:.3f} inside and "
        f"{effect['mean_absolute_difference_elsewhere']:.4f} outside the GTV (range 2); enhancing pixels per slice "
        f"{effect['enhancing_pixels_short']:.0f} against {effect['enhancing_pixels_long']:.0f}, more for short in "
        f"{effect['patients_with_more_enhancement_when_short']:.0%} of patients. In the simulated truth, short and "
        f"long survivors have {true['enhancing_pixels_short']:.0f} and {true['enhancing_pixels_long']:.0f} (before "
        f"treatment, all: {true['enhancing_pixels_pre']:.0f}). Enhancing: brighter than 1.25 times the median of the "
        "tissue around, within 12 pixels of the GTV."
    )
    if classifier:
        text += (
            f"\n\nSurvival classifier (pre-treatment slices, long against short): AUC {classifier['auc']:.2f}, "
            f"accuracy {classifier['accuracy']:.0%} over these patients. The simulated link to survival is invented."
        )
    return text
