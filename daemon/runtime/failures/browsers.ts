import type { FailureWords } from './contract.js';

const issues = 'https://github.com/microsoft/onnxruntime/issues';

/** Chrome and what is built on it: V8's words for memory, and those of its network. */
export const chromeWords: readonly FailureWords[] = [
  {
    words: /Array buffer allocation failed|could not allocate memory|Out of memory: [Ww]asm/,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://github.com/imgly/background-removal-js/issues/133',
  },
  {
    words: /Failed to fetch\b|net::ERR_/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'fetch() of Chrome 156, seen',
  },
  {
    words: /Failed to construct 'Worker'|WebAssembly\.Memory\(\): Property 'maximum'/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://github.com/dakenf/diffusers.js/issues/26',
  },
  {
    words: /memory access out of bounds|Maximum call stack size exceeded|unreachable executed/,
    code: 'FAILURE_UNEXPLAINED',
    source: `${issues}/21355, https://github.com/emscripten-core/emscripten/issues/11407`,
  },
];

/** Safari, and every browser of an iPhone. */
export const safariWords: readonly FailureWords[] = [
  {
    words: /RangeError: Out of memory/i,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://github.com/huggingface/transformers.js/issues/953 (iOS 17)',
  },
  {
    words: /TypeError: Load failed|Importing a module script failed/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'fetch() of WebKit: WebCore/Modules/fetch/FetchResponse.cpp',
  },
  {
    words: /DataCloneError: The object can not be cloned|WebAssembly\.Module doesn't parse/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: `${issues}/11567 (Safari 15), https://github.com/ztjhz/BetterChatGPT/issues/172 (iOS 14)`,
  },
  {
    words: /Out of bounds memory access/,
    code: 'FAILURE_UNEXPLAINED',
    source: 'https://github.com/RustPython/RustPython/issues/1113',
  },
];

export const firefoxWords: readonly FailureWords[] = [
  {
    words:
      /failed to reserve a large virtual memory region|InternalError: (?:out of memory|allocation size overflow)|abort\(out of memory\)/,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://github.com/thomasballinger/endless-web/issues/4 (Firefox 88)',
  },
  {
    words: /NetworkError when attempting to fetch resource|error loading dynamically imported module/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source:
      'https://github.com/mozilla-extensions/firefox-translations/issues/140, https://github.com/canonical/lxd-ui/issues/1488 (142)',
  },
  {
    words: /index out of bounds|too much recursion/,
    code: 'FAILURE_UNEXPLAINED',
    source: 'https://github.com/emscripten-core/emscripten/issues/11407',
  },
];
