"""Training: the loop, and for each model its data and its phases."""
