"""Uses the Python client against a daemon: outside.test.ts starts it with the daemon's address and a folder."""

import http.server
import json
import pathlib
import sys
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/python"))
from hilda_client.http import local_token
from hilda_client import Client, Conflict, HildaError, Invalid, NotFound, Unreachable

url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
client = Client(url, retry_s=20)
seq = client.health()["lastSeq"]
known = {device["id"] for device in client.devices()}
assert known >= {"fake-0", "fake-1", "fake-2"}, known
assert client.adopt("fake-0")["state"] == "adopted"


def error(kind, code, call):
    try:
        call()
    except kind as caught:
        assert caught.code == code, caught
        assert caught.hint, caught
        return caught
    raise AssertionError(f"{code} expected")


measurement = client.measure(folder / "model.onnx", "fake-0", protocol="quick")
assert measurement["verdict"] == "valid" and measurement["latency"]["normalisedUs"] > 0
error(NotFound, "DEVICE_UNKNOWN", lambda: client.measure(folder / "model.onnx", "fake-9"))
error(Invalid, "SPEC_INVALID", lambda: client.create_study({"name": "x"}))
error(Unreachable, "DAEMON_UNREACHABLE", lambda: Client("http://127.0.0.1:9", retry_s=0.3).health())

study = client.create_study(json.loads((folder / "spec.json").read_text()))
assert [decision["kind"] for decision in study.decisions()] == ["categorical", "categorical"]


class Lossy(http.server.BaseHTTPRequestHandler):
    """Passes requests on, and loses the answer of every second tell."""

    tells = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {"content-type": "application/json", "authorization": f"Bearer {local_token(url)}"}
        request = urllib.request.Request(url + self.path, body, headers)
        answer = urllib.request.urlopen(request).read()
        if self.path.endswith("/tell"):
            Lossy.tells += 1
            if Lossy.tells % 2:
                return self.connection.close()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lossy)
threading.Thread(target=server.serve_forever, daemon=True).start()
lossy = Client(f"http://127.0.0.1:{server.server_port}").study(study.id)

state = "running"
while state == "running":
    asked = lossy.ask(2, holder="gpu-1", wait_s=10)
    state = asked["state"]
    for trial in asked["trials"]:
        number = trial["number"]
        assert trial["values"] == {} and trial["state"] == "asked"
        study.report(number, 1, 0.25)
        study.report(number, 1, 0.25)
        state = lossy.tell([{"number": number, "values": {"accuracy": round(0.5 + number / 100, 2)}}], wait_s=5)["state"]
assert Lossy.tells == 8, f"{Lossy.tells} tells for 4 trials: each was repeated once"
server.shutdown()

other = error(Conflict, "RESULT_CONFLICT", lambda: study.tell([{"number": 0, "values": {"accuracy": 0.9}}]))
assert other.details["number"] == 0 and other.details["offered"] == {"values": {"accuracy": 0.9}}
error(Invalid, "REQUEST_INVALID", lambda: study.tell([{"number": 0, "values": {"accuracy": float("nan")}}]))
error(NotFound, "NOT_FOUND", lambda: study.wait([99]))
assert [trial["number"] for trial in study.wait([0, 1, 2, 3])["trials"]] == [0, 1, 2, 3]
assert [trial["intermediateValues"] for trial in study.trials()] == [[{"step": 1, "value": 0.25}]] * 4
assert study.trial(3)["values"]["latencyUs"] > 0 and len(study.front()) > 0

topic = f"study.{study.id}"
results = 0
for event in client.events([topic], since=seq):
    assert event["topic"] == topic and event["seq"] > seq
    seq = event["seq"]
    results += event["data"].get("type") == "result"
    if results == 4:
        break
assert isinstance(other, HildaError)
