"""The model family `sdgan`: a network that learned to draw heads from latents that have a meaning."""
