#!/usr/bin/env bash
# From a clean clone to a measured Pareto front: installs and builds, starts the daemon on an embedded SQLite file,
# adopts this machine's CPU and an emulated Raspberry Pi Pico, runs the search of profiles/studies/quickstart.yaml, prints
# a front for each, stops the daemon.
#   --stay         keep the daemon and its page running until Ctrl-C
#   --port N       port of the page (default: one that is free)
#   --data DIR     where the database and blobs live (default .hilda)
set -euo pipefail
cd "$(dirname "$0")/.."

stay='' port=0 data=.hilda
while [ $# -gt 0 ]; do
  case "$1" in
    --stay) stay=1 ;;
    --port) port=$2; shift ;;
    --data) data=$2; shift ;;
    *) echo "quickstart: unknown option $1 (known: --stay, --port N, --data DIR)" >&2; exit 2 ;;
  esac
  shift
done

bash scripts/setup.sh
hilda() { node dist/daemon/cli/main.js "$@"; }

mkdir -p "$data"
ready="$data/quickstart.json"
rm -f "$ready"
# Not by the function: the process itself must be the one that is stopped at the end.
node dist/daemon/cli/main.js up --data "$data" --port "$port" --json > "$ready" 2> "$data/daemon.log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true' EXIT
for _ in $(seq 150); do
  [ -s "$ready" ] && break
  kill -0 "$daemon" 2>/dev/null || { cat "$data/daemon.log" >&2; echo "quickstart: the daemon did not start" >&2; exit 1; }
  sleep 0.2
done
url=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8").split("\n")[0]).url' "$ready")
export HILDA_HOST=$url

echo "The page: $(hilda open --print)" >&2
device=$(hilda devices list --json | node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).devices.find((d) => d.kind === "onnxruntime").id')
hilda devices adopt "$device" >&2
hilda devices adopt emulated-rp2040-pico >&2
study=$(hilda search start profiles/studies/quickstart.yaml --wait --json | node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).study.id')
hilda search front "$study"
echo "The page: $(hilda open --print)  (study $study)"

if [ -n "$stay" ]; then
  echo "The daemon stays up; Ctrl-C stops it." >&2
  wait "$daemon"
fi
