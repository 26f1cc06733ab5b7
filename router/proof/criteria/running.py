# SPDX-License-Identifier: Apache-2.0
"""Criteria of how a release runs: as itself and without a break, knowing the capacity, without errors."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from router.proof.criteria.finding import Finding, Status, Thresholds

if TYPE_CHECKING:
    from router.proof.evidence import Look, Service, Snapshot, Soaked


def service(_before: Snapshot, after: Soaked, _limits: Thresholds) -> Finding:
    """Active under one PID without a restart in every look, running from the release, which holds the lease.

    An activation sets systemd's count of restarts to 0, so that one before the first look shows too.
    """
    if not after.looks:
        return Finding(Status.INCONCLUSIVE, "no look was taken")
    first, last = after.looks[0].service, after.looks[-1].service
    numbers = {"main_pid": last.main_pid, "restarts": last.restarts, "looks": len(after.looks)}
    for look in after.looks:
        problem = _service_problem(look, first, after)
        if problem:
            return Finding(Status.FAILED, problem, numbers | {"at_ms": look.at_ms})
    if all(look.error for look in after.looks):
        return Finding(Status.INCONCLUSIVE, "the lease was never seen: Redis did not answer", numbers)
    return Finding(Status.PASSED, f"active, PID {last.main_pid}, no restart, release {after.release.id}", numbers)


def _service_problem(look: Look, first: Service, after: Soaked) -> str | None:
    """Return what is wrong with the service at *look*, None when all is well."""
    seen, release = look.service, after.release
    command = posixpath.normpath(seen.cmdline[0]) if seen.cmdline else "nothing"
    lease = f"the lease is held by {seen.lease_release or 'nobody'}, not by release {release.id}"
    checks = (
        (
            (seen.active_state, seen.sub_state) == ("active", "running"),
            f"the unit is {seen.active_state}/{seen.sub_state}",
        ),
        (bool(seen.main_pid), "the unit has no main process"),
        (seen.main_pid == first.main_pid, f"the main PID changed from {first.main_pid} to {seen.main_pid}"),
        (seen.restarts is not None, "systemd's restart count is not known"),
        (not seen.restarts, f"systemd has restarted it, {seen.restarts} times since its activation"),
        (seen.exe == release.exe, f"the process runs {seen.exe}, not {release.exe}"),
        (command.startswith(release.dir.rstrip("/") + "/"), f"started as {command}, outside {release.dir}"),
        (look.error is not None or seen.lease_release == release.id, lease),
    )
    return next((problem for good, problem in checks if not good), None)


def capacity_known(_before: Snapshot, after: Soaked, _limits: Thresholds) -> Finding:
    """Open orders were readable at every look, and the router never had to say that they were not."""
    failed = [look for look in after.looks if look.error is not None]
    unknown = [look for look in after.looks if look.error is None and look.open_orders is None]
    said = None if after.events is None else after.events.get("CAPACITY_UNKNOWN", 0)
    numbers = {"looks": len(after.looks), "failed": len(failed), "unknown": len(unknown), "events": said}
    if failed:
        detail = f"{failed[0].error} ({len(failed)} of {len(after.looks)} looks)"
        return Finding(Status.FAILED, detail, numbers)
    if unknown:
        detail = f"open orders missing or malformed at {len(unknown)} of {len(after.looks)} looks"
        return Finding(Status.FAILED, detail, numbers)
    if said:
        return Finding(Status.FAILED, f"the router logged CAPACITY_UNKNOWN {said} times", numbers)
    if said is None or not after.looks:
        missing = "no look was taken" if not after.looks else "the journal could not be read"
        return Finding(Status.INCONCLUSIVE, missing, numbers)
    return Finding(Status.PASSED, f"known at all {len(after.looks)} looks", numbers)


def errors(_before: Snapshot, after: Soaked, _limits: Thresholds) -> Finding:
    """No error in the unit's log, and no more signals rejected than nobody could have taken.

    The input is looked at from the maximum age before the activation on, since such signals may have waited; rejects
    are counted from the first look on. So a good release is never charged with what came before it.
    """
    known = [look.rejected for look in after.looks if look.error is None and look.rejected is not None]
    rejected = known[-1] - known[0] if known else None
    said = after.said
    numbers = {"errors": said and said.errors, "rejected": rejected, "invalid": after.invalid}
    if said is not None and said.errors:
        return Finding(Status.FAILED, f"{said.errors} errors in the log, such as: {said.first_errors[0]}", numbers)
    if rejected is not None and rejected > after.invalid:
        detail = f"{rejected} signals were rejected, while only {after.invalid} were invalid"
        return Finding(Status.FAILED, detail, numbers)
    if said is None:
        return Finding(Status.INCONCLUSIVE, "the journal could not be read", numbers)
    if rejected is None or rejected < 0:
        detail = (
            "how many signals were rejected is not known" if rejected is None else "the stream of rejects was removed"
        )
        return Finding(Status.INCONCLUSIVE, detail, numbers)
    return Finding(Status.PASSED, f"no error in the log, {rejected} rejected of {after.invalid} invalid", numbers)
