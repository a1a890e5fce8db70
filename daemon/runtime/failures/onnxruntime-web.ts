import type { FailureWords } from './contract.js';

const issues = 'https://github.com/microsoft/onnxruntime/issues';

/** What onnxruntime-web adds to onnxruntime's own words. */
export const onnxruntimeWebWords: readonly FailureWords[] = [
  {
    words:
      /Failed to allocate a buffer of\s+size|WebGPU device error\(2\): Out of memory|RangeError: (?:[\w.]+\(\): )?Out of memory/i,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: `https://github.com/huggingface/transformers.js/issues/1056, ${issues}/25195, ${issues}/11679`,
  },
  {
    words: /exceeds the max buffer size limit/,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: `${issues}/25195`,
  },
  {
    words: /requires f16 but the device does not support it/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: 'https://github.com/nico-martin/gemma4-browser-extension/issues/13',
  },
  {
    words: /\[WebGPU\] Kernel "[^"]*" failed\. Error:|kernel is not supported in \w+ExecutionProvider/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: `${issues}/21386 (1.18), ${issues}/29756`,
  },
  {
    words: /both async and sync fetching of the wasm failed|expected magic word 00 61 73 6d/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: `${issues}/17700 (1.16), ${issues}/19831`,
  },
  {
    words: /no available backend found|previous call to 'init\w*\(\)' failed/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: `${issues}/21318 (1.18), https://github.com/microsoft/onnxruntime-inference-examples/issues/211`,
  },
];
