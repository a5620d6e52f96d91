"""Vesu V2: one contract a pool, made by a factory."""
