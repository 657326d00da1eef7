"""Datasets as dependencies: releases fetched, locked, verified and compared."""
