"""The model family `parametric`: a head drawn from its latents (geometry, appearance, hair, light and camera)."""
