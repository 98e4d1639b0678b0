"""How good bundles are on patients never seen."""
