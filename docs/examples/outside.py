"""A search of your own, in twenty lines: proposes to a study with `sampler: {name: external}` and hears the results."""
import json, os, random, sys, urllib.request

study, sizes = sys.argv[1], json.loads(sys.argv[2])  # e.g. http://127.0.0.1:4380/v1/studies/study-1 "[9, 10, 10]"

def post(verb, body):
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['HILDA_TOKEN']}"}  # hilda token create
    request = urllib.request.Request(f"{study}/{verb}", json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))

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
