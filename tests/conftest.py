"""What all tests share: hypothesis with fixed seeds and no deadlines."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")

pytest_plugins = ["tests.postgres"]
