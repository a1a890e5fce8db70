#!/usr/bin/env bash
# Leaves an installed and built tree. Idempotent, and silent when there is nothing to do.
#   --tests   also what only the tests need (a Chromium, adb, QEMU, the cross compiler, Optuna)
#   HILDA_CUDA=1   let onnxruntime-node download its CUDA files (skipped otherwise)
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

# Both install a Debian package when what it brings is missing and we may; otherwise they say what to install.
need() { # need COMMAND PACKAGE...
  command -v "$1" >/dev/null 2>&1 || add_packages "${@:2}"
}
# For packages that bring files alone.
need_file() { # need_file PATH PACKAGE...
  [ -e "$1" ] || add_packages "${@:2}"
}
# The system's own python3: another one on the path would not see Debian's packages.
need_module() { # need_module PYTHON_MODULE PACKAGE...
  /usr/bin/python3 -c "import importlib.util as u, sys; sys.exit(u.find_spec('$1') is None)" 2>/dev/null || add_packages "${@:2}"
}

add_packages() { # add_packages PACKAGE...
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing $*"
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null 2>&1; then
      apt-get update -qq >/dev/null 2>&1 || true
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=120 "$@" >/dev/null \
        || die "apt-get could not install: $*"
    fi
  else
    die "please install: $* (Debian names), then run this again"
  fi
}

command -v node >/dev/null 2>&1 || die "please install Node.js 20.17 or newer"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 17) ? 0 : 1)' \
  || die "Node.js 20.17 or newer is needed, this is $(node --version)"

# Packages: again only when the lock file or Node's version changed.
stamp=node_modules/.hilda-setup
want="$(node --version) $(cksum < package-lock.json)"
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$want" ]; then
  [ -n "${HILDA_CUDA:-}" ] || export ONNXRUNTIME_NODE_INSTALL=skip ONNXRUNTIME_NODE_INSTALL_CUDA=skip
  say "installing npm packages (sqlite3 is compiled where no ready-made binary can be fetched: two minutes)"
  log=$(mktemp)
  if ! npm ci --loglevel=error >"$log" 2>&1; then
    # The usual cause is a missing compiler for sqlite3: fetch one and try once more.
    need make make; need g++ g++; need python3 python3
    npm ci --loglevel=error >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "npm ci failed"; }
  fi
  rm -f "$log"
  node -e 'require("sqlite3")' 2>/dev/null || die "sqlite3 was installed but cannot be loaded"
  echo "$want" > "$stamp"
fi

# Build: again only when a source is newer than the last build.
built=dist/.built
if [ ! -e "$built" ] || [ -n "$(find daemon scripts test dashboard firmware-bridge package.json tsconfig.json -newer "$built" -type f -print -quit 2>/dev/null)" ]; then
  say "building"
  # Outputs whose sources were moved or deleted would still be run as tests.
  for folder in daemon firmware-bridge scripts test; do
    [ ! -d "dist/$folder" ] || find "dist/$folder" -name '*.js'
  done | while read -r file; do
    source=${file#dist/}
    [ -e "${source%.js}.ts" ] || rm -f "$file" "$file.map"
  done
  started=$(mktemp)
  npm run --silent build >&2
  mkdir -p dist && touch -r "$started" "$built" && rm -f "$started"
fi

if [ "${1:-}" = --tests ]; then
  # The first run of tap in a new installation still loads the plug-ins that .taprc excludes: 1.5 s more for each file.
  tap_stamp=node_modules/.hilda-tap
  if [ "$(cat "$tap_stamp" 2>/dev/null || true)" != "$want" ]; then
    node_modules/.bin/tap build >&2 && echo "$want" > "$tap_stamp"
  fi
  command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || need chromium chromium
  need adb adb
  # Emulated boards and the firmware itself. Tests without them say so and are skipped; with CI set they fail.
  if [ "$(id -u)" -eq 0 ] || [ -n "${CI:-}" ]; then
    need gcc gcc libc6-dev
    need qemu-system-arm qemu-system-arm
    need arm-none-eabi-gcc gcc-arm-none-eabi libnewlib-arm-none-eabi
    # 7 MB to fetch, 36 MB installed. Where it is not available, only CI insists.
    (need_module optuna --no-install-recommends python3-optuna) || [ -z "${CI:-}" ]
    # The ONNX backend tests: 6 MB to fetch, 21 MB installed.
    need_file /usr/share/libonnx-testdata/data/node libonnx-testdata
  fi
fi
