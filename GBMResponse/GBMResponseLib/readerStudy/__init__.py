"""The blinded expert reading."""
