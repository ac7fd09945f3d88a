"""The two baselines: pix2pix (U-Net) and the pix2pixHD global generator."""
