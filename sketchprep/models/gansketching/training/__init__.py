"""Training of StyleGAN2 on photos, and of a generator on sketches."""
