"""GBMResponse training: simulated cohorts, model training, evaluation and bundle export. Headless."""
