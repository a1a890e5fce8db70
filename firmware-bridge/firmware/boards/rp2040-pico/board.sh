# Raspberry Pi Pico (RP2040): Cortex-M0+.
core=(-mcpu=cortex-m0plus -mthumb -mfloat-abi=soft)
flags=(-DHILDA_LINES=2)
sources=(boards/rp2040-pico/board.c boards/rp2040-pico/boot.c boards/common/rp-usb.c boards/common/rp-usb-control.c boards/common/usb-descriptors.c)
load_address=0x10000000
# The boot ROM runs the second stage only with its CRC in the last word (most significant bit first, 0x04c11db7).
finish_image() {
  node -e '
    const { readFileSync, writeFileSync } = require("node:fs");
    const image = readFileSync(process.argv[1]);
    let crc = 0xffffffff;
    for (const byte of image.subarray(0, 252)) {
      crc ^= byte << 24;
      for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
    }
    image.writeUInt32LE(crc >>> 0, 252);
    writeFileSync(process.argv[1], image);' "$1"
}
