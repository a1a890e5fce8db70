"""Requests to the daemon. What may be sent twice is sent again after a lost connection."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .errors import HildaError, Invalid, Unreachable, from_problem

_pauses_s = (0.1, 5.0)
_passing = (429, 502, 503, 504)


def local_token(base: str) -> str | None:
    """HILDA_TOKEN, or the token that the daemon at this address wrote down for its user; None where there is none."""
    given = os.environ.get("HILDA_TOKEN")
    if given:
        return given.strip()
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser(os.path.join("~", ".local", "state"))
    address = urllib.parse.urlsplit(base)
    if not address.hostname:
        return None
    host = "127.0.0.1" if address.hostname == "localhost" else re.sub(r"[^\w.-]", "", address.hostname)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        return (pathlib.Path(state) / "hilda" / "tokens" / f"{host}-{port}").read_text().strip() or None
    except OSError:
        return None


class Http:
    """One daemon's address. `retry_s`: how long requests that may be repeated are tried."""

    def __init__(self, base: str, *, retry_s: float = 60.0) -> None:
        self.base = base.rstrip("/")
        self.retry_s = retry_s
        # The daemon is on this host or in this network: a proxy of the environment is not asked.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(
        self, method: str, path: str, body: Any = None, *, repeatable: bool, timeout_s: float = 60.0
    ) -> Any:
        """The JSON answer. Raises HildaError, or Unreachable once `retry_s` is over."""
        data, kind = _encoded(body)
        deadline = time.monotonic() + self.retry_s
        for attempt in range(1_000_000):
            try:
                return json.loads(self._once(method, path, data, kind, timeout_s) or b"null")
            except HildaError as error:
                never_sent = isinstance(error, Unreachable) and bool(error.details.get("refused"))
                again = (repeatable and _passes(error)) or never_sent
                pause = min(_pauses_s[1], _pauses_s[0] * 2**attempt) * random.uniform(0.5, 1.0)
                if not again or time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def fetch(self, path: str, *, timeout_s: float = 60.0) -> bytes:
        """Bytes, e.g. of a model."""
        return self._once("GET", path, None, "", timeout_s)

    def _once(self, method: str, path: str, data: bytes | None, kind: str, timeout_s: float) -> bytes:
        headers = {"content-type": kind} if data is not None else {}
        token = local_token(self.base)
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.base + path, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            raise from_problem(error.code, _json_or_none(error.read())) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            cause = getattr(error, "reason", error)
            raise Unreachable(
                "DAEMON_UNREACHABLE",
                f"{self.base} does not answer: {cause}",
                hint="Start the daemon with `hilda up`, or correct the address.",
                retryable=True,
                details={"refused": isinstance(cause, ConnectionRefusedError)},
            ) from error


def _passes(error: HildaError) -> bool:
    return isinstance(error, Unreachable) or error.status in _passing


def _encoded(body: Any) -> tuple[bytes | None, str]:
    if body is None:
        return None, ""
    if isinstance(body, (bytes, bytearray)):
        return bytes(body), "application/octet-stream"
    try:
        return json.dumps(body, allow_nan=False).encode(), "application/json"
    except ValueError as error:
        raise Invalid("REQUEST_INVALID", f"a value is no number: {error}", hint="NaN has no JSON form.") from None


def _json_or_none(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
