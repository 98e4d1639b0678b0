"""From finished stages, or foreign checkpoints, to model bundles and their cards."""
