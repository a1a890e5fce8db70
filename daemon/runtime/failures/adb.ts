import type { FailureWords } from './contract.js';

/** The adb server and its file transfer. None of them knows of networks. */
export const adbWords: readonly FailureWords[] = [
  {
    words:
      /device '?[^']*'? ?not found|no devices\/emulators found|no devices found|device offline|^closed$/i,
    code: 'DEVICE_GONE',
    suspect: 'device',
    source: 'https://github.com/mrrfv/open-android-backup/issues/139, SERVICES.TXT of adb',
  },
  {
    words: /device (?:still )?(?:unauthorized|authorizing)/i,
    code: 'DEVICE_GONE',
    suspect: 'device',
    source:
      'https://github.com/mobile-dev-inc/dadb/issues/55, https://github.com/flutter/flutter/issues/27456',
  },
  {
    words:
      /failed to copy|failed to read copy response|couldn't create file|secure_mkdirs failed|fchown failed/,
    code: 'ADB_FAILED',
    suspect: 'device',
    source:
      'https://github.com/Genymobile/scrcpy/issues/6515, https://github.com/Genymobile/scrcpy/issues/5435',
  },
  {
    words:
      /insufficient permissions|no permissions|protocol fault|cannot connect to daemon|version \(\d+\) doesn't match/,
    code: 'ADB_FAILED',
    suspect: 'device',
    source: 'https://developer.android.com/tools/adb',
  },
];
