"""The writer's life: follow the chain, commit batches, detect reorganisations, roll back, prove."""
