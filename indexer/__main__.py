"""`python -m indexer`."""

from indexer import cli

if __name__ == "__main__":
    cli.main()
