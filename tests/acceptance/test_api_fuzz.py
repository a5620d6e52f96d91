"""schemathesis asks the API what its own OpenAPI document allows and forbids.

No answer may be a 5xx, a status that the document does not know, or of another shape than it says.
A short run in the suite; `make fuzz` asks for longer (VESU_TEST_FUZZ examples an operation).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.acceptance.api_client import Client

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


async def test_what_the_document_allows_and_forbids(api: Client, tmp_path: Path) -> None:
    examples = os.environ.get("VESU_TEST_FUZZ")
    phases = "examples,coverage,fuzzing" if examples else "examples,fuzzing"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.base}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", examples or "2"),
        *("--generation-deterministic", "--no-shrink", "--warnings", "off", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, text[-6_000:]
    document = await api.get("/openapi.json")
    assert f"Tested: {len(document['paths'])}" in text
