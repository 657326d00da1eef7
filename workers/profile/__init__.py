"""Profiles of real galleries: reading them where they lie, measuring, telling; and how alike a twin is."""
