"""Says what is left out of the tests where Node is missing."""

from __future__ import annotations

import subprocess
import warnings

from tests import node_modules


def test_the_sequelize_application_is_run_or_said_to_be_left_out() -> None:
    missing = node_modules.missing()
    if missing:
        warnings.warn(
            f"LEFT OUT: tests/acceptance/test_sequelize.py (the guide's application): {missing}",
            stacklevel=1,
        )
    else:
        assert (node_modules.folder() / "node_modules" / "sequelize" / "package.json").is_file()


def test_node_reads_the_answers_or_is_said_to_be_left_out() -> None:
    if not node_modules.has_node():
        warnings.warn("LEFT OUT: tests/acceptance/test_node.py: node is missing", stacklevel=1)
    else:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        assert version.stdout.startswith("v")
