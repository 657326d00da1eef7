"""Shapes from scan statistics: a user's ICT-FaceKit, our mesh registered onto it, and the heads that come of it."""
