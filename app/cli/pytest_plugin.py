"""Where environments that were set up before the client moved look for the plugin."""

from app.client.pytest_plugin import facsimile_dataset, pytest_addoption

__all__ = ["facsimile_dataset", "pytest_addoption"]
