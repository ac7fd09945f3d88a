"""GANSketching (Wang et al., "Sketch Your Own GAN", ICCV 2021), and the StyleGAN2 beneath it."""
