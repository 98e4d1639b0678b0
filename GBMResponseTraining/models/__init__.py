"""Networks with their losses."""
