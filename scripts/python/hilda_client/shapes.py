"""Shapes of what the daemon answers; /v1/openapi.json describes each field."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict, Union

Architecture = Union[List[int], Dict[str, Any]]


class IntermediateValue(TypedDict):
    step: int
    value: float


class Trial(TypedDict):
    studyId: str
    number: int
    architectureId: str
    architecture: Architecture
    note: str
    state: str  # asked, complete, infeasible or failed
    told: bool
    values: Dict[str, float]
    predicted: Dict[str, Dict[str, float]]
    measurements: Dict[str, str]
    result: Any
    constraints: List[Optional[float]]  # at most 0 keeps a limit
    intermediateValues: List[IntermediateValue]
    reason: Optional[str]


class Exchange(TypedDict):
    state: str  # running, paused, completed, stopped or failed
    trials: List[Trial]


class _Numbered(TypedDict):
    number: int


class Result(_Numbered, total=False):
    """Either `values`, with `constraints` of your own, or `state` (failed, infeasible, pruned) and `reason`."""

    values: Dict[str, Any]
    constraints: List[float]
    state: str
    reason: str


class _Named(TypedDict):
    name: str
    kind: str  # categorical, ordinal or integer
    choices: List[Union[int, float, str]]


class Decision(_Named, total=False):
    low: float
    high: float
    step: int
    log: bool
    factors: Dict[str, Any]  # decisions, choiceAt


class Measurement(TypedDict):
    id: str
    deviceId: str
    verdict: str
    reason: Optional[str]
    latency: Optional[Dict[str, Any]]
    counts: Optional[Dict[str, Any]]
    memory: Dict[str, Any]


class Event(TypedDict):
    topic: str
    seq: int
    t: int
    data: Any
