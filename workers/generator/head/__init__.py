"""A parametric head, drawn: geometry, appearance, hair, light and camera, all read off latents."""
