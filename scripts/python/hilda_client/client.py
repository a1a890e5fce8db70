"""The daemon and its studies."""

from __future__ import annotations

import os
import time
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Union
from urllib.parse import quote, urlencode

from .errors import from_problem
from .http import Http
from .shapes import Architecture, Decision, Event, Exchange, Measurement, Result, Trial

_longest_wait_s = 60.0


class Client:
    """
    One daemon. Requests that may be repeated (all but starting a study and measuring) are tried again after a lost
    connection, for `retry_s`.
    """

    def __init__(self, base: str = "http://127.0.0.1:4380", *, retry_s: float = 60.0) -> None:
        self._http = Http(base, retry_s=retry_s)

    def health(self) -> Mapping[str, Any]:
        return self._get("/v1/health")

    def devices(self) -> List[Mapping[str, Any]]:
        return list(self._get("/v1/devices")["devices"])

    def adopt(self, device: str) -> Mapping[str, Any]:
        path = f"/v1/devices/{quote(device, safe='')}/adopt"
        answer: Mapping[str, Any] = self._http.call("POST", path, {}, repeatable=True)
        return answer

    def upload(self, model: Union[bytes, "os.PathLike[str]", str]) -> str:
        """The id of an ONNX or TensorFlow Lite model, its SHA-256: the same bytes get the same id."""
        if not isinstance(model, bytes):
            with open(model, "rb") as file:
                model = file.read()
        return str(self._http.call("POST", "/v1/models", model, repeatable=True, timeout_s=600)["sha256"])

    def measure(
        self,
        model: Union[bytes, "os.PathLike[str]", str],
        device: str,
        *,
        protocol: str = "search",
        dims: Optional[Mapping[str, int]] = None,
        timeout_s: float = 3600.0,
    ) -> Measurement:
        """Measures a model (bytes or a path) on a device. Look at `verdict`: only a valid one counts."""
        request = {"model": self.upload(model), "device": device, "protocol": protocol, **({"dims": dict(dims)} if dims else {})}
        job = self._http.call("POST", "/v1/measurements?wait=false", request, repeatable=False)
        deadline = time.monotonic() + timeout_s
        while job["state"] in ("queued", "running"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no measurement within {timeout_s} s; job {job['id']} goes on")
            time.sleep(0.2)
            job = self._get(f"/v1/jobs/{job['id']}")
        if job["state"] != "done":
            raise from_problem(int(job["problem"]["status"]), job["problem"])
        measurement: Measurement = job["measurement"]
        return measurement

    def create_study(self, spec: Mapping[str, Any]) -> "Study":
        record = self._http.call("POST", "/v1/studies", dict(spec), repeatable=False)
        return self.study(record["id"])

    def study(self, study: str) -> "Study":
        """By its id, or by its address, such as http://127.0.0.1:4380/v1/studies/study-1."""
        return Study(self._http, study.rstrip("/").rsplit("/", 1)[-1])

    def events(
        self, topics: Sequence[str] = (), *, since: Optional[int] = None, pause_s: float = 0.5
    ) -> Iterator[Event]:
        """Events in order, each once, from now on or after `since`; it goes on after a lost connection."""
        seq = int(self.health()["lastSeq"]) if since is None else since
        while True:
            query = urlencode({"since": seq, **({"topics": ",".join(topics)} if topics else {})})
            events: List[Event] = self._get(f"/v1/events?{query}")["events"]
            for event in events:
                seq = event["seq"]
                yield event
            if not events:
                time.sleep(pause_s)

    def _get(self, path: str) -> Any:
        return self._http.call("GET", path, repeatable=True)


class Study:
    """A study, for programs that propose architectures or train them."""

    def __init__(self, http: Http, study: str) -> None:
        self._http = http
        self.id = study
        self._path = f"/v1/studies/{quote(study, safe='')}"

    def record(self) -> Mapping[str, Any]:
        """Specification and state."""
        record: Mapping[str, Any] = self.summary()["record"]
        return record

    def summary(self) -> Mapping[str, Any]:
        """The record with how far the study is."""
        summary: Mapping[str, Any] = self._http.call("GET", self._path, repeatable=True)
        return summary

    def decisions(self) -> List[Decision]:
        """What an architecture decides. Empty for grammars, which have no fixed list."""
        answer = self._http.call("GET", f"{self._path}/decisions", repeatable=True)
        return list(answer["decisions"] or [])

    def trials(self) -> List[Trial]:
        """All of them, by number."""
        trials: List[Trial] = []
        path: Optional[str] = f"{self._path}/trials?limit=1000"
        while path:
            page = self._http.call("GET", path, repeatable=True)
            trials += page["trials"]
            path = page["next"]
        return trials

    def trial(self, number: int) -> Trial:
        trial: Trial = self._http.call("GET", f"{self._path}/trials/{number}", repeatable=True)
        return trial

    def front(self) -> List[Mapping[str, Any]]:
        return list(self._http.call("GET", f"{self._path}/front", repeatable=True)["front"])

    def export(self, number: int) -> bytes:
        """The ONNX file of a trial's network."""
        answer = self._http.call("POST", f"{self._path}/trials/{number}/export", repeatable=True, timeout_s=600)
        return self._http.fetch(f"/v1/models/{answer['model']}", timeout_s=600)

    def ask(
        self,
        n: int = 10,
        *,
        minimum: Optional[int] = None,
        exclude: Sequence[int] = (),
        holder: Optional[str] = None,
        hold_s: float = 3600.0,
        wait_s: float = 30.0,
    ) -> Exchange:
        """Up to n measured trials that wait for a result. Those of `holder` are given to nobody else for `hold_s`."""
        body = {"n": n, "except": list(exclude), "waitMs": _ms(wait_s)}
        if minimum is not None:
            body["minimum"] = minimum
        if holder is not None:
            body.update({"holder": holder, "holdMs": round(hold_s * 1000)})
        return self._exchange("ask", body, wait_s)

    def propose(
        self, architectures: Sequence[Architecture], *, note: str = "outside", wait_s: float = 30.0
    ) -> Exchange:
        """Hands in architectures of a sampler outside; answers with their trials, known ones included."""
        proposals = [{"architecture": architecture, "note": note} for architecture in architectures]
        return self._exchange("ask", {"proposals": proposals, "waitMs": _ms(wait_s)}, wait_s)

    def tell(self, results: Sequence[Result], *, wait_s: float = 0.0) -> Exchange:
        """Gives results, all or none; what is told again and equal is accepted. Answers with trials that have ended."""
        return self._exchange("tell", {"results": list(results), "waitMs": _ms(wait_s)}, wait_s)

    def report(self, number: int, step: int, value: float) -> None:
        """A value on the way to a trial's result, such as the accuracy after an epoch."""
        steps = [{"number": number, "step": step, "value": value}]
        self._exchange("tell", {"intermediateValues": steps, "waitMs": 0}, 0)

    def wait(self, numbers: Sequence[int], *, minimum: Optional[int] = None, wait_s: float = 30.0) -> Exchange:
        """Those of the trials that have ended, once `minimum` of them have (default all), or after `wait_s`."""
        body = {"numbers": list(numbers), "waitMs": _ms(wait_s)}
        if minimum is not None:
            body["minimum"] = minimum
        return self._exchange("tell", body, wait_s)

    def _exchange(self, verb: str, body: Mapping[str, Any], wait_s: float) -> Exchange:
        exchange: Exchange = self._http.call(
            "POST", f"{self._path}/{verb}", body, repeatable=True, timeout_s=min(wait_s, _longest_wait_s) + 30
        )
        return exchange


def _ms(seconds: float) -> int:
    return round(min(seconds, _longest_wait_s) * 1000)
