"""How a tumor grows and answers to treatment."""
