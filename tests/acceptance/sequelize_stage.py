"""The application in docs/examples/sequelize as the tests run it, and how they read its answers."""

from __future__ import annotations

import asyncio
import decimal
import json
import os
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import asyncpg

from tests import node_modules, postgres

Ask = Callable[..., Awaitable[list[Any]]]

# The guide's lists.
METHODS = {
    "VesuPosition": """isHealthy isAtRisk isCritical isLiquidatable hasDebt hasCollateral
        findActivePositions findLiquidatablePositions findAtRiskPositions findUserPositions""",
    "VesuPool": """getUtilizationRate getAvailableLiquidity isHealthy canBorrow needsSync
        findByAddress findActivePools findByAssetPair findPoolsNeedingSync getPoolStats""",
    "VesuTransaction": """isPending isConfirmed isFailed isSupply isBorrow isRepay isWithdraw
        isLiquidation findByHash findPendingTransactions findUserTransactions
        findPositionTransactions getTransactionStats""",
    "VesuLiquidation": """getLiquidationProfit getTotalCollateralValue getDebtCovered
        getLiquidationRatio findByHash findByPosition findByLiquidator getRecentLiquidations
        getLiquidationStats getLiquidatorLeaderboard""",
}

asked: set[tuple[str, str]] = set()
"""The methods that the tests of this module have asked."""


async def application(url: str, role: str) -> Ask:
    """Asks the application a list of questions (model, method, arguments, row id)."""
    socket = await postgres.value(url, "SHOW unix_socket_directories")
    environ = os.environ | {
        "NODE_PATH": str(node_modules.folder() / "node_modules"),
        "DB_NAME": str(await postgres.value(url, "SELECT current_database()")),
        "DB_USER": role,
        "DB_PASSWORD": "secret",
        "DB_HOST": socket.split(",")[0].strip(),
        "DB_PORT": str(await postgres.value(url, "SHOW port")),
    }

    async def answer(*questions: tuple[Any, ...]) -> list[Any]:
        document = []
        for model, method, *rest in questions:
            asked.add((model, method))
            args, row_id = (*rest, [], None)[:2] if len(rest) < 2 else rest
            one: dict[str, Any] = {"model": model, "method": method, "args": args or []}
            document.append(one | ({"id": str(row_id)} if row_id else {}))
        process = await asyncio.create_subprocess_exec(
            "node",
            str(node_modules.APPLICATION / "ask.js"),
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(json.dumps(document).encode())
        assert process.returncode == 0, err.decode()
        return list(json.loads(out))

    return answer


def values(answers: list[Any]) -> list[Any]:
    assert [one["error"] for one in answers if "error" in one] == []
    return [one["value"] for one in answers]


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


async def column(url: str, statement: str, *arguments: Any) -> list[str]:
    return [str(row[0]) for row in await postgres.fetch(url, statement, *arguments)]


def down(numerator: Decimal, denominator: Decimal) -> Decimal:
    """A ratio rounded down to 18 places; 0 where there is nothing to divide by."""
    if not denominator:
        return Decimal(0)
    with decimal.localcontext() as context:
        context.prec, context.rounding = 100, decimal.ROUND_DOWN
        return (numerator / denominator).quantize(Decimal("1e-18"))


def decimals(texts: dict[str, Any]) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in texts.items()}


def sums(rows: list[asyncpg.Record]) -> dict[str, Decimal]:
    return {
        "count": Decimal(len(rows)),
        "collateralSeized": sum((row["collateral_seized"] for row in rows), Decimal(0)),
        "debtRepaid": sum((row["debt_repaid"] for row in rows), Decimal(0)),
        "bonus": sum((row["liquidation_bonus"] for row in rows), Decimal(0)),
    }
