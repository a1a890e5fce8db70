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
firmware=$PWD
# Sources that carry the build's hash are a board's own.
telling=$(grep -l '"build_hash.h"' "${shared[@]}" | tr '\n' ' ')

# Each of these runs in a shell of its own: what board.sh defines stays there.
describe() {
  board=$1
  flags=() core=() sources=() load_address=
  . "boards/$board/board.sh"
  flags+=("${core[@]}" "${common[@]}")
  # Boards with the same flags share the objects that know no board.
  shares=flags-$(sha256sum <<<"${flags[*]}" | cut -c1-16)
  hash=$({ echo "$compiler ${flags[*]}"; find . -type f \( ! -path "./boards/*" -o -path "./boards/common/*" -o -path "./boards/$board/*" \) -print | sort | xargs sha256sum; } | sha256sum | cut -d' ' -f1)
  objects=()
  for source in "${shared[@]}"; do
    case " $telling " in
      *" $source "*) objects+=("$board/${source%.c}.o") ;;
      *) objects+=("$shares/${source%.c}.o") ;;
    esac
  done
  for source in "${sources[@]}"; do objects+=("$board/${source%.c}.o"); done
}

# The compiler calls of a board, one a line. Fixed names: neither order nor folder can show in the result.
compilations() (
  describe "$1"
  printf '%s\n' "${objects[@]%/*}" | sort -u | (cd "$scratch" && xargs -d '\n' mkdir -p)
  i=0
  for source in "${shared[@]}" "${sources[@]}"; do
    object=${objects[i]} defined=
    i=$((i + 1))
    [ "${object%%/*}" = "$shares" ] || defined="-DHILDA_BUILD_HASH=$(sed 's/../0x&,/g' <<<"$hash")"
    echo "${flags[*]} $defined -c $source -o \"$scratch/$object\""
  done
)

link_board() (
  describe "$1"
  elf=$scratch/$board.elf
  # The linker's map of names would carry the scratch folder; objects are given in a fixed order and stripped.
  (cd "$scratch" && arm-none-eabi-gcc "${core[@]}" -nostartfiles --specs=nano.specs -Wl,--gc-sections -Wl,--build-id=none \
    -Wl,--fatal-warnings -Wl,--no-warn-rwx-segments -L"$firmware/boards/common" -T "$firmware/boards/$board/link.ld" \
    "${objects[@]}" -lc -lgcc -o "$elf")
  arm-none-eabi-objcopy -O binary "$elf" "$out/$board.bin"
  if declare -F finish_image >/dev/null; then finish_image "$out/$board.bin"; fi
  [ -z "$keep_elf" ] || cp "$elf" "$out/$board.elf"
  printf '{\n  "board": "%s",\n  "loadAddress": %d,\n  "bytes": %d,\n  "sha256": "%s",\n  "buildHash": "%s",\n  "compiler": "%s"\n}\n' \
    "$board" "$load_address" "$(stat -c %s "$out/$board.bin")" "$(sha256sum <"$out/$board.bin" | cut -d' ' -f1)" "$hash" "$compiler" \
    >"$out/$board.json"
  echo "$board: $(arm-none-eabi-size "$elf" | awk 'NR == 2 { print $1 + $2 " bytes of flash, " $2 + $3 " of RAM" }')" >&2
)

for board in "${boards[@]}"; do compilations "$board"; done >"$scratch/calls"
sort -u "$scratch/calls" | xargs -P "$(nproc)" -L 1 arm-none-eabi-gcc
for board in "${boards[@]}"; do link_board "$board"; done
