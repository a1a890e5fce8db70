#!/usr/bin/env bash
# npm run bench -- NAME [flags]: builds, then runs one benchmark. Its last line on stdout is one JSON object.
set -euo pipefail
cd "$(dirname "$0")/.."
name="${1:-}"
if [ -z "$name" ] || [ ! -f "scripts/bench/$name.ts" ]; then
  echo "usage: npm run bench -- NAME [flags]; NAME is one of:" >&2
  for file in scripts/bench/*.ts; do
    if grep -q '"\?bench"\?: ' "$file"; then echo "  $(basename "$file" .ts)" >&2; fi
  done
  exit 2
fi
shift
node node_modules/typescript/bin/tsc -p . >&2
exec node "dist/scripts/bench/$name.js" "$@"
