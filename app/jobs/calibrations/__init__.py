"""Calibrations of models: which scale meets a target."""
