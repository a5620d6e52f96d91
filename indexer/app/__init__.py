"""Builds the parts of the indexer from its settings and connects them."""
