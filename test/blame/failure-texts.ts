import { fromErrorDocument, HildaError } from '../../daemon/core/errors.js';
import { failureOf } from '../../daemon/devices/agent/agent-failures.js';
import { programFailure, runtimeFailure } from '../../daemon/runtime/runtime-failure.js';

/** One way in which a runtime failed on somebody's machine: rewritten from the report named as its source. */
export interface FailureText {
  readonly name: string;
  readonly source: string;
  /** Made by the code that hears it from the runtime, as a driver makes it. */
  readonly failure: () => HildaError;
  /** Found again in what a person reads. */
  readonly fragment: string;
  /** It tells of memory: its moment or its size. */
  readonly memory?: boolean;
}

const ort = 'https://github.com/microsoft/onnxruntime/issues';

/** What onnxruntime throws, in Node, in a page or in a session process. */
const thrown = (name: string, source: string, text: string, memory = false): FailureText => ({
  name,
  source,
  memory,
  fragment: text.slice(0, 24),
  failure: () => runtimeFailure(new Error(text)),
});

/** A runner on a phone, started by its shell. */
const exited = (name: string, source: string, code: number, stderr: string, memory = false): FailureText => ({
  name,
  source,
  memory,
  fragment: `ended with code ${code}`,
  failure: () => programFailure('the runner', { code }, stderr),
});

/** A session process of this host. */
const killed = (
  name: string,
  source: string,
  signal: NodeJS.Signals,
  stderr = '',
  memory = false,
): FailureText => ({
  name,
  source,
  memory,
  fragment: signal,
  failure: () => programFailure('the session process', { code: null, signal }, stderr),
});

const coded = (name: string, source: string, code: HildaError['code'], text: string): FailureText => ({
  name,
  source,
  fragment: text.slice(0, 24),
  failure: () => new HildaError(code, text),
});

/** What an agent tells of its device, over the wire. */
const agent = (name: string, source: string, code: string, text: string): FailureText => ({
  name,
  source,
  fragment: text.slice(0, 24),
  failure: () => {
    const document = { code, message: text, hint: '', retryable: false, details: {} };
    const job = { agentId: 'agent-1', work: { kind: 'measure' } } as unknown as Parameters<
      typeof failureOf
    >[0];
    return failureOf(job, fromErrorDocument(document as Parameters<typeof fromErrorDocument>[0]));
  },
});

export const failureTexts: readonly FailureText[] = [
  // onnxruntime: in Node, and its perf test.
  thrown(
    'no kernel',
    `${ort}/24479`,
    "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Pad(13) node with name '/Pad'",
  ),
  thrown(
    'no op',
    `${ort}/5643`,
    '[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. Error in Node:ConvTranspose_0 : No Op registered for ConvTranspose with domain_version of 12',
  ),
  thrown(
    'no custom op',
    `${ort}/17214`,
    '[ONNXRuntimeError] : 1 : FAIL : Load model from my_bev.onnx failed:Fatal error: my_bev_pool:bev_pool_v2(-1) is not a registered function/op',
  ),
  thrown(
    'attribute',
    'https://github.com/onnx/tensorflow-onnx/issues/820',
    '[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. Error in Node:range : Unrecognized attribute: Tidx for operator Range',
  ),
  thrown(
    'dimensions',
    'seen with onnxruntime-node 1.30',
    'Got invalid dimensions for input: x for the following indices index: 2 Got: 28 Expected: 14',
  ),
  thrown('bad alloc', 'https://github.com/huggingface/transformers.js/issues/1653', 'std::bad_alloc', true),
  thrown(
    'arena',
    `${ort}/20038`,
    "Non-zero status code returned while running Mul node. Name:'Mul_8702' Status Message: bfc_arena.cc:368 AllocateRawInternal Failed to allocate memory for requested buffer of size 2830172160",
    true,
  ),
  thrown(
    'arena limit',
    `${ort}/23121`,
    "Non-zero status code returned while running TfIdfVectorizer node. Name:'TfIdfVectorizer' Status Message: bfc_arena.cc:376 Available memory of 0 is smaller than requested bytes of 2048",
    true,
  ),
  thrown(
    'cuda memory',
    'https://github.com/hacksider/Deep-Live-Cam/issues/584',
    '[ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: out of memory ; GPU=0 ; hostname=DESKTOP ; expr=cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);',
    true,
  ),
  thrown(
    'cuda 700',
    `${ort}/26312`,
    'CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=h ; expr=cudaMemcpyAsync(dst, src, bytes, kind, stream)',
  ),
  thrown(
    'cudnn not supported',
    `${ort}/15715`,
    "Non-zero status code returned while running Conv node. Name:'/decoder/up_blocks.2/conv/Conv' Status Message: CUDNN failure 9: CUDNN_STATUS_NOT_SUPPORTED ; GPU=0",
  ),
  thrown(
    'cudnn not there',
    `${ort}/17337`,
    'CUDNN failure 1: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0 ; hostname=h ; expr=cudnnCreate(&cudnn_handle_);',
  ),
  thrown(
    'no cuda kernel',
    `${ort}/8093`,
    "Non-zero status code returned while running Gemm node. Name:'gemm' Status Message: CUDA error cudaErrorNoKernelImageForDevice:no kernel image is available for execution on the device",
  ),
  thrown(
    'fallback',
    'onnxruntime-node 1.30',
    'This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user.',
  ),
  thrown(
    'protobuf',
    'https://github.com/onnx/onnx/issues/6446',
    '[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from nav_model.onnx failed:Protobuf parsing failed.',
  ),
  thrown('storage', `${ort}/6923`, 'Load model from /sdcard/test/resnet.onnx failed:system error number 13'),
  thrown('minimal build', `${ort}/18271`, 'ONNX format model is not supported in this build.'),
  killed('segmentation fault', 'signal(7)', 'SIGSEGV'),
  killed(
    'abort',
    `${ort}/2963`,
    'SIGABRT',
    "terminate called after throwing an instance of 'onnxruntime::OnnxRuntimeException'",
  ),
  killed('illegal instruction', 'https://github.com/huggingface/transformers.js/issues/1640', 'SIGILL'),
  killed('out of memory killer', 'signal(7)', 'SIGKILL', '', true),
  killed('arithmetic', 'signal(7)', 'SIGFPE'),
  killed(
    'heap',
    'https://nodejs.org/api/cli.html',
    'SIGABRT',
    'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
    true,
  ),
  coded(
    'a session that is gone',
    'runtime/session-process.ts',
    'NOT_FOUND',
    'session 7 is gone: it was released, or its process ended',
  ),
  coded(
    'time is up',
    'runtime/child-channel.ts',
    'DEVICE_TIMEOUT',
    '"time" did not end within 60000 ms; its process was killed',
  ),
  // onnxruntime-web in Chrome, Safari and Firefox.
  thrown('fetch, Chrome', 'seen with Chrome 156', 'TypeError: Failed to fetch'),
  thrown(
    'module, Chrome',
    'https://github.com/canonical/lxd-ui/issues/1488',
    'TypeError: Failed to fetch dynamically imported module: http://192.168.1.4:8080/join/ort.mjs',
  ),
  thrown(
    'wasm, aborted',
    `${ort}/17700`,
    'no available backend found. ERR: [wasm] RuntimeError: Aborted(both async and sync fetching of the wasm failed). Build with -sASSERTIONS for more info.',
  ),
  thrown(
    'wasm, another page',
    `${ort}/19831`,
    'no available backend found. ERR: [wasm] RuntimeError: Aborted(CompileError: WebAssembly.instantiate(): expected magic word 00 61 73 6d, found 3c 21 44 4f @+0)',
  ),
  thrown(
    'wasm memory',
    'https://github.com/imgly/background-removal-js/issues/133',
    'RangeError: WebAssembly.instantiate(): Out of memory: wasm memory',
    true,
  ),
  thrown(
    'session buffer',
    'https://github.com/huggingface/transformers.js/issues/1056',
    "Can't create a session. Failed to allocate a buffer of size 2079238052.",
    true,
  ),
  thrown(
    'session, code 6',
    'https://github.com/huggingface/transformers.js/issues/1653',
    "Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc",
    true,
  ),
  thrown(
    'session, code 7',
    'https://github.com/lxfater/inpaint-web/issues/64',
    "Can't create a session. ERROR_CODE: 7, ERROR_MESSAGE: Failed to load model because protobuf parsing failed.",
  ),
  thrown(
    'webgpu buffer',
    `${ort}/25195`,
    'Buffer size (3185049600) exceeds the max buffer size limit (1073741824).',
    true,
  ),
  thrown(
    'webgpu kernel',
    `${ort}/21386`,
    '[WebGPU] Kernel "[MaxPool] /sincnet/pool1d.0/MaxPool" failed. Error: length of specified kernel shapes should be 2 less than length of input dimensions',
  ),
  thrown(
    'webgpu half',
    'https://github.com/nico-martin/gemma4-browser-extension/issues/13',
    "Non-zero status code returned while running GatherBlockQuantized node. Name:'/model/Gather_Quant' Status Message: Program GatherBlockQuantized requires f16 but the device does not support it.",
  ),
  thrown(
    'webgpu lost',
    'https://github.com/microsoft/onnxruntime/pull/27634',
    'WebGPU device lost (2): Device was destroyed.',
  ),
  thrown(
    'webgpu instance',
    'https://github.com/nico-martin/gemma4-browser-extension/issues/4',
    "failed to call OrtRun(). ERROR_CODE: 1, ERROR_MESSAGE: Non-zero status code returned while running Div node. Name:'/lm_head/softcap/Div' Status Message: Failed to create a WebGPU compute pipeline: A valid external Instance reference no longer exists.",
  ),
  thrown(
    'webgpu shader',
    `${ort}/32627`,
    'failed to call OrtRun(). ERROR_CODE: 1, ERROR_MESSAGE: Failed to create a WebGPU compute pipeline: [Invalid ShaderModule "LayerNorm"] is invalid due to a previous error.',
  ),
  thrown('out of bounds, Chrome', `${ort}/21355`, 'RuntimeError: memory access out of bounds'),
  thrown(
    'memory, Safari',
    'https://github.com/huggingface/transformers.js/issues/953',
    'no available backend found. ERR: [wasm] RangeError: Out of memory',
    true,
  ),
  thrown('fetch, Safari', 'WebKit: WebCore/Modules/fetch/FetchResponse.cpp', 'TypeError: Load failed'),
  thrown('clone, Safari', `${ort}/11567`, 'DataCloneError: The object can not be cloned.'),
  thrown(
    'out of bounds, Safari',
    'https://github.com/RustPython/RustPython/issues/1113',
    "Out of bounds memory access (evaluating 'r.j(e,i,l(t)?0:d(t))')",
  ),
  thrown(
    'fetch, Firefox',
    'https://github.com/mozilla-extensions/firefox-translations/issues/140',
    'TypeError: NetworkError when attempting to fetch resource.',
  ),
  thrown(
    'module, Firefox',
    'https://github.com/keymanapp/keyman/issues/15158',
    'TypeError: error loading dynamically imported module: https://192.168.1.4:8443/join/ort.mjs',
  ),
  thrown(
    'memory, Firefox',
    'https://github.com/thomasballinger/endless-web/issues/4',
    'RuntimeError: abort(out of memory) at jsStackTrace@https://example.org/a.js:2090:19',
    true,
  ),
  thrown('a number', `${ort}/17964`, '2097581304'),
  // Android's shell, linker and log, and the programs that run there.
  exited(
    'runner gone',
    'mksh R59 of Android 14',
    127,
    '/system/bin/sh: /data/local/tmp/hilda/runner: inaccessible or not found',
  ),
  exited(
    'another ABI',
    `${ort}/23648`,
    126,
    '/system/bin/sh: /data/local/tmp/hilda/runner: not executable: 64-bit ELF file',
  ),
  exited(
    'no permission',
    'https://github.com/pytorch/executorch/issues/9072',
    126,
    "/system/bin/sh: ./runner: can't execute: Permission denied",
  ),
  exited(
    'library missing',
    'https://github.com/eantcal/nubasic/issues/4',
    134,
    'CANNOT LINK EXECUTABLE "./runner": library "libonnxruntime.so" not found\nAborted',
  ),
  exited(
    'symbol missing',
    'https://github.com/android/ndk/issues/173',
    1,
    'CANNOT LINK EXECUTABLE: cannot locate symbol "_ZNSt6__ndk14coutE" referenced by "/data/local/tmp/hilda/runner"...',
  ),
  exited('killed', 'https://source.android.com/docs/core/perf/lmkd', 137, 'Killed', true),
  exited('killed without a word', 'POSIX.1-2017, XCU 2.8.2', 137, '', true),
  exited(
    'segmentation fault on a phone',
    'https://github.com/anestisb/radamsa-android/issues/4',
    139,
    'Segmentation fault',
  ),
  exited(
    'instruction on a phone',
    'https://github.com/dondai44423/donsetch/issues/57',
    132,
    'Illegal instruction',
  ),
  exited('forbidden call', 'seccomp(2)', 159, 'Bad system call'),
  exited('ended from outside', 'signal(7)', 143, 'Terminated'),
  exited('without a word', 'POSIX.1-2017, XCU 2.8.2', 1, ''),
  exited(
    'perf test, no kernel',
    `${ort}/24441`,
    1,
    "Could not find an implementation for EyeLike(9) node with name '/blocks.0/EyeLike'",
  ),
  exited(
    'disk full',
    'https://github.com/ubports/ubports-installer/issues/4039',
    1,
    'write failed: No space left on device',
  ),
  // TensorFlow Lite's benchmark_model.
  exited(
    'custom op',
    'https://github.com/tensorflow/tensorflow/issues/35688',
    1,
    'ERROR: Encountered unresolved custom op: Enter.\nERROR: Node number 8 (Enter) failed to prepare.\nFailed to allocate tensors!',
  ),
  exited(
    'tensors',
    'https://github.com/tensorflow/tensorflow/issues/21118',
    1,
    'simple_memory_arena.cc:82 it->size != alloc.size (52272 != 0)\nFailed to allocate tensors.',
  ),
  exited(
    'gpu operator',
    'https://github.com/tensorflow/tensorflow/issues/45967',
    1,
    'TfLiteGpuDelegate Init: MUL: 1x1088x1x1 cannot be reduced to linear.\nNode number 23608 (TfLiteGpuDelegateV2) failed to prepare.',
  ),
  exited(
    'gpu driver',
    'https://github.com/tensorflow/flutter-tflite/pull/42',
    1,
    'TfLiteGpuDelegate Init: [GL_INVALID_OPERATION]: The specified operation is not allowed in the current state.',
  ),
  exited(
    'flex',
    'https://github.com/tensorflow/tensorflow/issues/62506',
    1,
    'ERROR: Delegate kernel was not initialized\nERROR: Node number 1139 (TfLiteFlexDelegate) failed to prepare.',
  ),
  // The adb server.
  coded(
    'copy, no room',
    'https://github.com/ubports/ubports-installer/issues/4039',
    'ADB_FAILED',
    "adb: failed to copy 'candidate.onnx' to '/data/local/tmp/hilda/candidate.onnx': remote No space left on device",
  ),
  coded(
    'copy, no answer',
    'https://github.com/Genymobile/scrcpy/issues/6515',
    'ADB_FAILED',
    'adb: failed to read copy response: EOF',
  ),
  coded(
    'unauthorised',
    'https://github.com/mobile-dev-inc/dadb/issues/55',
    'ADB_FAILED',
    "adb: device unauthorized. This adb server's $ADB_VENDOR_KEYS is not set",
  ),
  coded(
    'slow shell',
    'devices/adb/adb-server.ts',
    'ADB_FAILED',
    '"shell,v2,raw:/data/local/tmp/hilda/runner" took longer than 60000 ms',
  ),
  // Agents.
  agent(
    'disk of an agent',
    'devices/agent/agent-failures.ts',
    'DISK_FULL',
    'ENOSPC: no space left on device, write',
  ),
  agent(
    'unknown code',
    'devices/agent/agent-failures.ts',
    'STORE_NEWER',
    'the database was written by a newer version',
  ),
  agent('agent rejects', 'devices/agent/agent-failures.ts', 'NETWORK_REJECTED', 'no such operator'),
  agent(
    'agent time',
    'devices/agent/agent-failures.ts',
    'DEVICE_TIMEOUT',
    '"firstRun" did not end within 60000 ms',
  ),
  agent(
    'agent memory',
    'devices/agent/agent-failures.ts',
    'DEVICE_FAILED',
    'the session process was killed by SIGKILL',
  ),
  // What no table knows, in several languages, cut short, and in words of the other party.
  thrown('German', 'strerror(3) of glibc, de_DE', 'Auf dem Gerät ist kein Speicherplatz mehr verfügbar'),
  exited('French', 'strsignal(3) of glibc, fr_FR', 1, 'Erreur de segmentation (core dumped)'),
  exited('Chinese', 'strerror(3) of glibc, zh_CN', 1, '没有那个文件或目录'),
  thrown('Japanese', 'strerror(3) of glibc, ja_JP', 'メモリを確保できません'),
  exited('Russian', 'strerror(3) of glibc, ru_RU', 1, 'Отказано в доступе'),
  thrown('Arabic', 'strerror(3) of glibc, ar', 'فشل التقسيم'),
  thrown('cut short', `${ort}/24479, cut`, '[ONNXRuntimeError] : 9 : NOT_IMP'),
  exited('cut in a letter', 'made up', 1, 'CANNOT LINK EXEC\ufffd'),
  thrown('empty', 'made up', ''),
  thrown('only a class', 'made up', 'Error'),
  thrown(
    'a node called like a broken line',
    'made up',
    "Non-zero status code returned while running Conv node. Name:'TypeError: Failed to fetch' Status Message: sizes differ",
  ),
  thrown(
    'a node called like a full disk',
    'made up',
    "Non-zero status code returned while running Conv node. Name:'No space left on device' Status Message: sizes differ",
  ),
  thrown(
    'a node called like a missing operator',
    'made up',
    "Non-zero status code returned while running Conv node. Name:'No Op registered for' Status Message: CUDA failure 719: unspecified launch failure",
  ),
  thrown(
    'library of a network',
    'made up',
    'Failed to load library libcustom_ops.so with error: cannot open shared object file: No such file or directory',
  ),
];
