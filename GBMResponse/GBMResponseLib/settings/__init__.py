"""What the user set for a prediction."""
