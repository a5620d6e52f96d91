"""Vesu V1.0 and V1.1: singletons that hold all pools, and the extensions that decide for them."""
