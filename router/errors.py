# SPDX-License-Identifier: Apache-2.0
"""Errors by who must act, each with the exit status the service ends with.

The numbers follow sysexits.h, so that systemd and a person read them alike.
"""

from __future__ import annotations


class RouterError(Exception):
    """Base of all errors that end the service or a command with one line of text."""

    exit_code = 1


class ConfigError(RouterError):
    """The settings are wrong: only a person can mend it, so systemd does not restart (78)."""

    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        """Keep *problems*, one line each, so that a user mends them all in one go."""
        super().__init__("\n".join(problems))
        self.problems = problems


class RedisUnavailableError(RouterError):
    """Redis does not answer, or refuses what the router needs (69)."""

    exit_code = 69


class FencedError(RouterError):
    """Another router, or a foreign reader, moved what only the lease holder may move (75)."""

    exit_code = 75


class GroupMissingError(FencedError):
    """Somebody removed the consumer group that is the cursor (75)."""

    def __init__(self, group: str) -> None:
        """Name *group*."""
        super().__init__(f"GROUP_MISSING: the group {group!r} of the signal stream is gone")


class BrokenCommitError(RouterError):
    """A commit failed after it had published: the router is halted until a person resumes (78)."""

    exit_code = 78


def one_line(error: Exception) -> str:
    """Return what *error* says without line breaks, or its kind when it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
