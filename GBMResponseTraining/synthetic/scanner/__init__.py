"""How tissue looks in a T1-Gd MRI."""
