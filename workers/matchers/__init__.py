"""Matchers: from an image to a template, and from two templates to a comparison score."""
