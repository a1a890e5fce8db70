import type { FailureWords } from './contract.js';

const issues = 'https://github.com/tensorflow/tensorflow/issues';

/** TensorFlow Lite's benchmark_model. */
export const tensorflowLiteWords: readonly FailureWords[] = [
  {
    words: /Encountered unresolved custom op|Didn't find op for builtin opcode/,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: `${issues}/35688 (1.15), ${issues}/41758 (2.2)`,
  },
  {
    words: /TfLiteGpuDelegate Init: \w+: /,
    code: 'NETWORK_REJECTED',
    suspect: 'network',
    source: `${issues}/45967 (an operator that the GPU does not take)`,
  },
  {
    words: /GL_INVALID_OPERATION|[Cc]an(?:'t|not) open OpenCL library|delegate is not initialized/,
    code: 'DEVICE_FAILED',
    suspect: 'device',
    source: 'https://github.com/tensorflow/flutter-tflite/pull/42',
  },
  {
    words: /Failed to allocate tensors|AllocateTensors\(\) (?:failed|returned)/,
    code: 'FAILURE_UNEXPLAINED',
    source: `${issues}/21118 (1.9)`,
  },
  {
    words:
      /failed to prepare|Failed to apply|applying delegate|Failed to initialize (?:session|the interpreter)/,
    code: 'FAILURE_UNEXPLAINED',
    source: `${issues}/24986, ${issues}/62506 (2.15)`,
  },
];
