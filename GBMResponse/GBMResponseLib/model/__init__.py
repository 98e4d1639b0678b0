"""Model bundles as the user sees them."""
