"""Running work elsewhere: Slurm jobs, and the clusters that joblib has backends for."""
