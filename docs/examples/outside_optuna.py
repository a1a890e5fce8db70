"""Optuna searches, the daemon measures: any of Optuna's samplers for a study with `sampler: {name: external}`."""
import json, sys, urllib.request
import optuna

# e.g. http://127.0.0.1:4380/v1/studies/study-1 "[9, 10, 10]" NSGAIISampler '{"population_size": 20}'
study, sizes, sampler, options = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])

def call(path, body=None):
    request = urllib.request.Request(study + path, body and json.dumps(body).encode(), {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))

objectives = call("")["record"]["spec"]["objectives"]
search = optuna.create_study(
    directions=["maximize" if objective["goal"] == "max" else "minimize" for objective in objectives],
    sampler=getattr(optuna.samplers, sampler)(**options))
ended = {"infeasible": optuna.trial.TrialState.PRUNED, "failed": optuna.trial.TrialState.FAIL}
state = "running"
while state == "running":
    asked, told = search.ask(), []
    architecture = [asked.suggest_categorical(f"decision {i}", range(n)) for i, n in enumerate(sizes)]
    while state == "running" and not told:  # What was measured before is answered, not run again.
        answer = call("/ask", {"proposals": [{"architecture": architecture}]})
        answer = call("/tell", {"numbers": [trial["number"] for trial in answer["trials"]]})
        state, told = answer["state"], answer["trials"]
    for trial in told:
        if trial["state"] == "complete":
            search.tell(asked, [trial["values"][objective["metric"]] for objective in objectives])
        else:
            search.tell(asked, state=ended[trial["state"]])
print(json.dumps({"states": [trial.state.name for trial in search.trials], "front": [trial.values for trial in search.best_trials]}))
