"""Generators: (identity latents, observation latents) to images."""
