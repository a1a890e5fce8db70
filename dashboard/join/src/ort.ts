import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-common';

/** The part of onnxruntime-web that this needs; each worker file brings its own build. */
export interface Ort {
  readonly env: {
    logLevel?: string;
    readonly wasm: { wasmPaths?: unknown; wasmBinary?: unknown; numThreads?: number };
  };
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
}
