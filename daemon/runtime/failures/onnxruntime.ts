import type { FailureWords } from './contract.js';

const issues = 'https://github.com/microsoft/onnxruntime/issues';

/** onnxruntime itself: in Node, and as onnxruntime_perf_test. Its pages share most of these words. */
export const onnxruntimeWords: readonly FailureWords[] = [
  {
    words: /Failed to allocate memory for requested buffer|smaller than requested bytes/i,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: `${issues}/20038 (1.15), ${issues}/23121 (1.20)`,
  },
  {
    words: /bad_alloc|bad allocation/,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://github.com/huggingface/transformers.js/issues/1653 (1.25)',
  },
  {
    words: /CUDA (?:failure|error)[^;]*out of memory|cudaErrorMemoryAllocation/i,
    code: 'DEVICE_OUT_OF_MEMORY',
    memory: true,
    source: 'https://github.com/hacksider/Deep-Live-Cam/issues/584 (1.16)',
  },
  {
    words: /assigned to the default CPU EP/i,
    code: 'PROVIDER_FALLBACK',
    suspect: 'network',
    source: 'session.disable_cpu_ep_fallback of onnxruntime 1.30',
  },
  {
    words: /Could not find an implementation for|: NOT_IMPLEMENTED :/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: `${issues}/24479 (1.21), ${issues}/2170 (0.5)`,
  },
  {
    words: /is not a registered function\/op|No Op registered for/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: `${issues}/17214 (1.15), ${issues}/5643 (1.5)`,
  },
  {
    // A kernel's constructor refuses attributes or constants that it does not run.
    words: /Exception during initialization: [^\n]*\bOpKernelInfo\b/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: 'core/session/inference_session.cc and core/providers/cpu/rnn/rnn.h of onnxruntime 1.30',
  },
  {
    words: /: INVALID_GRAPH :|This is an invalid model\b|Unrecognized attribute: /,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source:
      'https://github.com/pytorch/pytorch/issues/104460 (1.15), https://github.com/onnx/tensorflow-onnx/issues/820',
  },
  {
    words: /Got invalid dimensions for input|Invalid rank for input|Unexpected input data type/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: 'core/session/inference_session.cc of onnxruntime 1.30',
  },
  {
    words: /\[(?:Type|Shape)InferenceError\]|Type Error: /,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: 'core/graph/graph.cc of onnxruntime 1.30',
  },
  {
    words: /ONNX format model is not supported in this build/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: `${issues}/18271 (1.12, a minimal build)`,
  },
  {
    words:
      /CUDNN_STATUS_NOT_INITIALIZED|no kernel image is available|no CUDA-capable device|driver version is insufficient/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: `${issues}/17337 (1.15), ${issues}/8093 (1.8)`,
  },
  {
    words: /Failed to load (?:shared )?library|cannot open shared object|LoadLibrary failed/i,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'core/session/provider_bridge_ort.cc of onnxruntime 1.30',
  },
  {
    words: /Failed to get a WebGPU adapter|WebGPU device lost|external Instance reference no longer exists/i,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source:
      'https://github.com/microsoft/onnxruntime/pull/27634, https://github.com/nico-martin/gemma4-browser-extension/issues/4',
  },
  {
    words: /failed:system error number \d+/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: `${issues}/6923 (1.7, error 13 of a phone's storage)`,
  },
  {
    // The daemon wrote the model: a file that cannot be parsed was damaged on its way, or the disk was full.
    words: /protobuf parsing failed|INVALID_PROTOBUF/i,
    code: 'FAILURE_UNEXPLAINED',
    source: 'https://github.com/onnx/onnx/issues/6446 (1.18)',
  },
  {
    words: /CU(?:DA|DNN|BLAS) (?:failure|error)|CUDNN_STATUS_/,
    code: 'FAILURE_UNEXPLAINED',
    source: `${issues}/26312 (1.23, error 700), ${issues}/15715 (1.14, a batch that is too large)`,
  },
];
