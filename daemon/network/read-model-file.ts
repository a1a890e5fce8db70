import type { Graph } from './graph.js';
import { readOnnx } from './read-onnx.js';
import { isTflite } from './tflite/model.js';
import { readTflite } from './tflite/read-tflite.js';

/**
 * Reads one file of a user's, ONNX or TensorFlow Lite, told apart by what the bytes say. Throws what `readOnnx` and
 * `readTflite` throw.
 */
export const readModelFile = (bytes: Uint8Array): Graph =>
  isTflite(bytes) ? readTflite(bytes) : readOnnx(bytes);
