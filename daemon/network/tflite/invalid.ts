import { HildaError } from '../../core/errors.js';

/** The error for bytes that are no TensorFlow Lite model, or one that contradicts itself. */
export const invalid = (why: string, cause?: unknown): HildaError =>
  new HildaError('TFLITE_INVALID', `not a usable TensorFlow Lite model: ${why}`, { cause });
