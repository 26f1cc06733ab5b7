# SPDX-License-Identifier: Apache-2.0
"""The criteria of a deployment's verdict, one pure function each (design: deployment, verdict table).

Rules: what is not known is never a pass. A detail is one line for a person; the numbers behind it stand beside it.

Look here first: CRITERIA is the whole list. A new criterion is a function in `running`, `publishing` or `execution`,
and a row here. Those of a user are commands: `router.proof.own`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.proof.criteria.execution import execution_lag, governor
from router.proof.criteria.finding import RANGES, Criterion, Finding, Status, Thresholds
from router.proof.criteria.publishing import features, not_flooding, not_silent, reduction
from router.proof.criteria.running import capacity_known, errors, service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.proof.evidence import Snapshot, Soaked

__all__ = ["CRITERIA", "RANGES", "Criterion", "Finding", "Status", "Thresholds"]

#: Name -> function, in the order of the report.
CRITERIA: Final[Mapping[str, Callable[[Snapshot, Soaked, Thresholds], Finding]]] = {
    "service": service,
    "reduction": reduction,
    "not silent": not_silent,
    "not flooding": not_flooding,
    "features": features,
    "capacity known": capacity_known,
    "governor": governor,
    "execution lag": execution_lag,
    "errors": errors,
}
