"""Turn a public or hospital cohort into a slice store; see docs/import-cohorts.md."""
