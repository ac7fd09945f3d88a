"""Networks, losses and weight files that stages or several model families share."""
