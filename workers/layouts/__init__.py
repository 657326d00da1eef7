"""A finished set in the layouts that matcher test harnesses read: one writer a module."""
