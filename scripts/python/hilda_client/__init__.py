"""A client of hilda's daemon on Python's standard library: measure, search and evaluate from outside, follow events."""

from .client import Client, Study
from .errors import Conflict, HildaError, Invalid, NotFound, Unreachable
from .shapes import Decision, Event, Exchange, IntermediateValue, Measurement, Result, Trial

__all__ = [
    "Client",
    "Conflict",
    "Decision",
    "Event",
    "Exchange",
    "HildaError",
    "IntermediateValue",
    "Invalid",
    "Measurement",
    "NotFound",
    "Result",
    "Study",
    "Trial",
    "Unreachable",
]
