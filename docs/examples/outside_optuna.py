"""Optuna searches, the daemon measures: a sampler of Optuna's for a study with `sampler: {name: external}`.

    outside_optuna.py STUDY SAMPLER [OPTIONS] [--limits '{"latencyUs": 900}'] [--parallel 4]

STUDY is the study's address, e.g. http://127.0.0.1:4380/v1/studies/study-1; OPTIONS the sampler's, as JSON. Limits here are
soft: trials beyond them are measured whole, and Optuna's sampler learns by how much (TPE and NSGA-II; not CMA-ES).
"""

import argparse
import inspect
import json
import pathlib
import sys

import optuna

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/python"))
from hilda_client import Client  # noqa: E402


def suggested(trial, decision):
    """The index of a choice. Numbers are integers to Optuna, so that CMA-ES and TPE know their order."""
    name, choices = decision["name"], decision["choices"]
    if "factors" in decision:
        at = 0
        for factor in decision["factors"]["decisions"]:
            at = at * len(factor["choices"]) + suggested(trial, factor)
        return decision["factors"]["choiceAt"][at]
    if decision["kind"] == "integer":
        low, high, step = (int(decision[key]) for key in ("low", "high", "step"))
        return (trial.suggest_int(name, low, high, step=step) - low) // step
    if decision["kind"] == "ordinal":
        return trial.suggest_int(name, 0, len(choices) - 1)
    return trial.suggest_categorical(name, list(range(len(choices))))


def violations(trial, hard, limits):
    """At most 0 keeps a limit: those of the study, those told by an evaluator, ours, and whether it runs at all."""
    known = [value or 0.0 for value in trial["constraints"]]
    soft = [trial["values"].get(metric, limit) - limit for metric, limit in limits.items()]
    told = sum(max(0.0, value) for value in known[hard:])
    broken = trial["state"] == "infeasible" and not any(value > 0 for value in known)
    return [*known[:hard], told, *soft, 1.0 if broken else 0.0]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("study")
    arguments.add_argument("sampler", nargs="+", metavar="SAMPLER [OPTIONS]")
    arguments.add_argument("--limits", type=json.loads, default={})
    arguments.add_argument("--parallel", type=int, default=1)
    arguments.add_argument("--patience", type=int, default=100, help="proposals in a row without a new one; then it ends")
    given = arguments.parse_args()
    # Earlier versions took the numbers of choices first; the daemon tells them now.
    name, *rest = [word for word in given.sampler if not word.startswith("[")]
    options = json.loads(rest[0]) if rest else {}

    study = Client(given.study.split("/v1/")[0]).study(given.study)
    spec, decisions = study.record()["spec"], study.decisions()
    hard, objectives = len(spec["constraints"]), spec["objectives"]
    kind = getattr(optuna.samplers, name)
    if "constraints_func" in inspect.signature(kind.__init__).parameters and (hard or given.limits):
        options["constraints_func"] = lambda frozen: frozen.user_attrs["constraints"]
    directions = ["maximize" if objective["goal"] == "max" else "minimize" for objective in objectives]
    search = optuna.create_study(directions=directions, sampler=kind(**options))

    def finish(asked, trial):
        asked.set_user_attr("constraints", violations(trial, hard, given.limits))
        if len(objectives) == 1:
            for one in trial["intermediateValues"]:
                asked.report(one["value"], one["step"])
        values = [trial["values"].get(objective["metric"]) for objective in objectives]
        if trial["state"] == "complete" and None not in values:
            search.tell(asked, values)
        elif trial["state"] == "infeasible":
            search.tell(asked, state=optuna.trial.TrialState.PRUNED)
        else:  # It failed, or a device that left would have given a value.
            search.tell(asked, state=optuna.trial.TrialState.FAIL)

    under_way, unplaced, state, stale, newest = {}, [], "running", 0, -1
    while state == "running" and stale < given.patience:
        while state == "running" and sum(map(len, under_way.values())) < given.parallel:
            asked, architecture = unplaced.pop() if unplaced else (None, None)
            if asked is None:
                asked = search.ask()
                architecture = [suggested(asked, decision) for decision in decisions]
            # What was measured before is answered, not run again.
            answer = study.propose([architecture], wait_s=5)
            state = answer["state"]
            if not answer["trials"]:
                unplaced.append((asked, architecture))
                break
            number = answer["trials"][0]["number"]
            # A sampler that has converged proposes what is known for ever.
            stale, newest = (0, number) if number > newest else (stale + 1, newest)
            under_way.setdefault(number, []).append(asked)
        answer = study.wait(list(under_way), minimum=1)
        state = answer["state"]
        for trial in answer["trials"]:
            for asked in under_way.pop(trial["number"]):
                finish(asked, trial)
    for number, left in under_way.items():
        trial = study.trial(number)
        for asked in left:
            finish(asked, trial) if trial["state"] != "asked" else search.tell(asked, state=optuna.trial.TrialState.FAIL)
    for asked, _ in unplaced:
        search.tell(asked, state=optuna.trial.TrialState.FAIL)

    feasible = optuna.create_study(directions=directions)
    done = [trial for trial in search.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    feasible.add_trials([trial for trial in done if max(trial.user_attrs["constraints"], default=0.0) <= 0])
    print(
        json.dumps(
            {
                "ended": "the sampler proposes nothing new" if state == "running" else state,
                "states": [trial.state.name for trial in search.trials],
                "front": [trial.values for trial in feasible.best_trials],
            }
        )
    )


main()
