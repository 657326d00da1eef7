"""Training a small StyleGAN2 of one's own on single images: a generator that knows nothing of identities."""
