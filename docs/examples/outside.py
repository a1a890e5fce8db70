"""A search of your own, in twenty lines: proposes to a study with `sampler: {name: external}` and hears the results."""
import json, os, random, sys
from urllib import parse, request

study, sizes = sys.argv[1], json.loads(sys.argv[2])  # e.g. http://127.0.0.1:4380/v1/studies/study-1 "[9, 10, 10]"
at, state_home = parse.urlsplit(study), os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
token = os.environ.get("HILDA_TOKEN") or open(f"{state_home}/hilda/tokens/{at.hostname}-{at.port}").read().strip()
headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}

def post(verb, body):
    return json.load(request.urlopen(request.Request(f"{study}/{verb}", json.dumps(body).encode(), headers)))

best, state, rng = None, "running", random.Random(1)
while state == "running":
    parent = best["architecture"] if best else [rng.randrange(n) for n in sizes]
    child = [rng.randrange(n) if rng.random() < 0.3 else gene for gene, n in zip(parent, sizes)]
    asked = post("ask", {"proposals": [{"architecture": child}]})
    told = post("tell", {"numbers": [trial["number"] for trial in asked["trials"]]})
    state = told["state"]
    for trial in told["trials"]:
        if trial["state"] == "complete" and (not best or trial["values"]["accuracy"] > best["values"]["accuracy"]):
            best = trial
print(json.dumps({"number": best["number"], "accuracy": best["values"]["accuracy"]}))
