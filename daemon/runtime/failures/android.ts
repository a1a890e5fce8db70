import type { FailureWords } from './contract.js';

/** A phone's shell (mksh), its linker and its log. */
export const androidWords: readonly FailureWords[] = [
  {
    words: /CANNOT LINK EXECUTABLE|cannot locate symbol|dlopen failed|only position independent executables/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://github.com/android/ndk/issues/173, https://github.com/termux/play-audio/issues/6',
  },
  {
    words: /not executable: (?:32|64)-bit ELF|Exec format error/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://github.com/microsoft/onnxruntime/issues/23648',
  },
  {
    words: /^\S*sh: .*(?:inaccessible or not found|: not found|can't execute)/m,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://github.com/pytorch/executorch/issues/9072, mksh R59 of Android 14',
  },
  {
    words: /No space left on device|Read-only file system|avc: +denied|Bad system call/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://github.com/ubports/ubports-installer/issues/4039, errno(3)',
  },
  {
    words: /lowmemorykiller|lmkd\b.*[Kk]ill|^Killed\s*$/m,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://source.android.com/docs/core/perf/lmkd',
  },
  {
    words: /^Illegal instruction/m,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source:
      'https://github.com/huggingface/transformers.js/issues/1640 (a processor without the instruction)',
  },
  {
    words: /Fatal signal \d+|^(?:Segmentation fault|Aborted|Bus error)/m,
    code: 'FAILURE_UNEXPLAINED',
    source: 'https://source.android.com/docs/core/tests/debug/native-crash',
  },
];
