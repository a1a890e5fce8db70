"""Trains what a study measured: for studies with `evaluator: {kind: external}`, on as many machines as you like.

    outside_trainer.py STUDY [--train pytorch_mbconv:train] [--holder gpu-1]

STUDY is the study's address. `--train` names a function `train(space, decisions, architecture, report)` of a module beside this
file or on the path. It answers with values by metric, such as {"accuracy": {"value": 0.91, "images": 2000}}; `report(step,
accuracy)` tells how far it is, and says whether to stop.
"""

import argparse
import importlib
import pathlib
import socket
import statistics
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[2] / "scripts/python")]
from hilda_client import Client  # noqa: E402


class Pruned(Exception):
    """A training was cut off, since others were ahead at the same step."""


def is_behind(study, number, step, value, startup=5):
    """The median rule: whether the value is below the median of other trials at this step. Needs `startup` of them."""
    others = [
        one["value"]
        for trial in study.trials()
        if trial["number"] != number and trial["state"] == "complete"
        for one in trial["intermediateValues"]
        if one["step"] == step
    ]
    return len(others) >= startup and value < statistics.median(others)


def result_of(study, trial, train, space, decisions):
    def report(step, value):
        study.report(trial["number"], step, value)
        if is_behind(study, trial["number"], step, value):
            raise Pruned(f"below the median of step {step}")

    number = trial["number"]
    try:
        return {"number": number, "values": train(space, decisions, trial["architecture"], report)}
    except Pruned as why:
        return {"number": number, "state": "pruned", "reason": str(why)}
    except Exception as why:  # One training that fails is no reason to end the others.
        return {"number": number, "state": "failed", "reason": f"{type(why).__name__}: {why}"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("study")
    arguments.add_argument("--train", default="pytorch_mbconv:train")
    arguments.add_argument("--holder", default=socket.gethostname())
    given = arguments.parse_args()
    module, function = given.train.split(":")
    train = getattr(importlib.import_module(module), function)

    study = Client(given.study.split("/v1/")[0]).study(given.study)
    space, decisions = study.record()["spec"]["space"], study.decisions()
    state = "running"
    while state == "running":
        answer = study.ask(1, holder=given.holder)
        state = answer["state"]
        for trial in answer["trials"]:
            result = result_of(study, trial, train, space, decisions)
            state = study.tell([result], wait_s=5)["state"]
            print(result, flush=True)


if __name__ == "__main__":
    main()
