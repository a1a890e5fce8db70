import { adbWords } from './adb.js';
import { androidWords } from './android.js';
import { chromeWords, firefoxWords, safariWords } from './browsers.js';
import type { FailureWords } from './contract.js';
import { machineWords } from './machine.js';
import { onnxruntimeWords } from './onnxruntime.js';
import { onnxruntimeWebWords } from './onnxruntime-web.js';
import { tensorflowLiteWords } from './tensorflow-lite.js';

/**
 * The tables of failure words: a file of data and a line here for each runtime. A failure is read with all of them, since programs
 * hand on the words of others; the first entry that knows them counts.
 */
export const failureTables = {
  onnxruntime: onnxruntimeWords,
  'onnxruntime-web': onnxruntimeWebWords,
  chrome: chromeWords,
  safari: safariWords,
  firefox: firefoxWords,
  android: androidWords,
  adb: adbWords,
  'tensorflow-lite': tensorflowLiteWords,
  machine: machineWords,
} as const satisfies Record<string, readonly FailureWords[]>;
