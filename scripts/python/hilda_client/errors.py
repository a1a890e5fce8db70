"""Errors of the daemon, with their stable code and hint: docs/errors.md lists the codes."""

from __future__ import annotations

from typing import Any, Mapping


class HildaError(Exception):
    """What the daemon refused. `code` is stable; `details` holds facts for programs, such as a field or a trial."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        status: int = 0,
        retryable: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}" + (f" ({hint})" if hint else ""))
        self.code = code
        self.message = message
        self.hint = hint
        self.status = status
        self.retryable = retryable
        self.details: Mapping[str, Any] = details or {}


class Invalid(HildaError):
    """The request cannot be right (400, 413, 415, 422), or a value has no JSON form."""


class NotFound(HildaError):
    """What the request names does not exist (404)."""


class Conflict(HildaError):
    """The request does not fit the present state (409), e.g. a trial that keeps another result."""


class Unreachable(HildaError):
    """The daemon does not answer, or the connection broke before it did."""


_by_status = {400: Invalid, 404: NotFound, 409: Conflict, 413: Invalid, 415: Invalid, 422: Invalid}


def from_problem(status: int, body: Any) -> HildaError:
    """The error of a problem document (RFC 9457)."""
    problem = body if isinstance(body, dict) else {}
    kind = _by_status.get(status, HildaError)
    return kind(
        str(problem.get("code", "INTERNAL")),
        str(problem.get("detail", f"the daemon answered {status} without a problem document")),
        hint=str(problem.get("hint", "")),
        status=status,
        retryable=bool(problem.get("retryable", False)),
        details=problem.get("details"),
    )
