"""Datasets: what users can do with them, and what moves them on, keeps and removes them."""
