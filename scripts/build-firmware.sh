#!/usr/bin/env bash
# Builds the firmware of every board, or of those named, into profiles/firmware (or --out DIR): BOARD.bin, and BOARD.json
# with what the daemon must know of it. The same sources and compiler give the same bytes on any machine and in any folder.
#   scripts/build-firmware.sh [--out DIR] [--keep-elf] [BOARD...]
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
out=profiles/firmware
keep_elf=
boards=()
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift ;;
    --keep-elf) keep_elf=1 ;;
    *) boards+=("$1") ;;
  esac
  shift
done
command -v arm-none-eabi-gcc >/dev/null || { echo "build-firmware: please install gcc-arm-none-eabi" >&2; exit 1; }
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd firmware-bridge/firmware
[ ${#boards[@]} -gt 0 ] || mapfile -t boards < <(find boards -name board.sh -printf '%h\n' | xargs -n1 basename | sort)
# Not -ffreestanding: with it, every short memcpy becomes a call.
common=(-std=gnu11 -O2 -g0 -Wall -Wextra -Werror -ffunction-sections -fdata-sections -fno-common -fno-strict-aliasing -fwrapv -Iinclude)
compiler=$(arm-none-eabi-gcc --version | head -n 1)
shared=(main/*.c link/*.c runtime/*.c operators/*.c boards/common/start.c)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Runs in a shell of its own: what board.sh defines stays there.
build_board() (
  board=$1
  flags=() core=() sources=() load_address=
  . "boards/$board/board.sh"
  flags+=("${core[@]}" "${common[@]}")
  hash=$({ echo "$compiler ${flags[*]}"; find . \( -path "./boards/*" ! -path "./boards/common/*" ! -path "./boards/$board/*" -mindepth 3 \) -prune -o -type f -print | sort | xargs sha256sum; } | sha256sum | cut -d' ' -f1)
  bytes=$(sed 's/../0x&,/g' <<<"$hash")
  objects=()
  # One at a time and under fixed names: neither order nor folder can show in the result.
  for source in "${shared[@]}" "${sources[@]}"; do
    object=$scratch/$board/${source%.c}.o
    mkdir -p "$(dirname "$object")"
    arm-none-eabi-gcc "${flags[@]}" "-DHILDA_BUILD_HASH=$bytes" -c "$source" -o "$object"
    objects+=("$object")
  done
  elf=$scratch/$board.elf
  # The linker's map of names would carry the scratch folder; objects are given in a fixed order and stripped.
  (cd "$scratch/$board" && arm-none-eabi-gcc "${core[@]}" -nostartfiles --specs=nano.specs -Wl,--gc-sections -Wl,--build-id=none \
    -Wl,--fatal-warnings -Wl,--no-warn-rwx-segments -L"$OLDPWD/boards/common" -T "$OLDPWD/boards/$board/link.ld" \
    "${objects[@]#"$scratch/$board/"}" -lc -lgcc -o "$elf")
  arm-none-eabi-objcopy -O binary "$elf" "$out/$board.bin"
  if declare -F finish_image >/dev/null; then finish_image "$out/$board.bin"; fi
  [ -z "$keep_elf" ] || cp "$elf" "$out/$board.elf"
  printf '{\n  "board": "%s",\n  "loadAddress": %d,\n  "bytes": %d,\n  "sha256": "%s",\n  "buildHash": "%s",\n  "compiler": "%s"\n}\n' \
    "$board" "$load_address" "$(stat -c %s "$out/$board.bin")" "$(sha256sum <"$out/$board.bin" | cut -d' ' -f1)" "$hash" "$compiler" \
    >"$out/$board.json"
  echo "$board: $(arm-none-eabi-size "$elf" | awk 'NR == 2 { print $1 + $2 " bytes of flash, " $2 + $3 " of RAM" }')" >&2
)

running=0
for board in "${boards[@]}"; do
  if [ "$running" -ge "$(nproc)" ]; then wait -n; running=$((running - 1)); fi
  build_board "$board" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do wait -n; running=$((running - 1)); done
