"""Evaluations: comparison scores taken in, judged by workers, kept."""
