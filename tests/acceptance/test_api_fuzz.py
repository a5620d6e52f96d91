"""schemathesis asks the API what its own OpenAPI document allows and forbids.

No answer may be a 5xx, a status that the document does not know, or of another shape than it says.
A short run in the suite; `make fuzz` asks for longer (VESU_TEST_FUZZ examples an operation).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.acceptance.test_api_watch import KEY, writable

EXAMPLES = os.environ.get("VESU_TEST_FUZZ")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest.mark.timeout(0 if EXAMPLES else 300)
async def test_what_the_document_allows_and_forbids(indexed_copy: str, tmp_path: Path) -> None:
    """With a key: what is allowed to write is asked, too."""
    phases = "examples,coverage,fuzzing" if EXAMPLES else "examples,fuzzing"
    async with writable(indexed_copy, indexed_copy) as api:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.base}/openapi.json"),
            *("--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", EXAMPLES or "2"),
            # `min_block` waits for ten seconds before it is told that the block is not there.
            *("--request-timeout", "30"),
            *("--generation-deterministic", "--no-shrink", "--warnings", "off", "--no-color"),
            *("--header", f"Authorization: Bearer {KEY}"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        text = out.decode()
        (tmp_path / "schemathesis.txt").write_text(text, "utf-8")
        assert process.returncode == 0, f"{text[:3_000]}\n…\n{text[-3_000:]}"
        document = await api.get("/openapi.json")
        assert f"Tested: {len(document['paths'])}" in text
