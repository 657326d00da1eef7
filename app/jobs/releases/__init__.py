"""Releases: datasets given a name and a version for ever."""
