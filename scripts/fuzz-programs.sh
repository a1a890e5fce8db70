#!/usr/bin/env bash
# Runs mutated programs against the firmware's check and kernels under sanitizers, seed after seed, until one fails or all
# are done: scripts/fuzz-programs.sh [SEEDS] [ROUNDS]. Needs gcc and a build (npm run build).
set -euo pipefail
cd "$(dirname "$0")/.."
for seed in $(seq 2 "$((1 + ${1:-20}))"); do
  echo "seed $seed" >&2
  HILDA_FUZZ_SEED=$seed HILDA_FUZZ_ROUNDS=${2:-500000} node dist/test/firmware/fuzz.test.js | grep 'mutants'
done
