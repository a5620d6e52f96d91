"""The commands: one module each, thin: ask, print, choose the exit code."""
