import { InferenceSession, Tensor } from 'onnxruntime-node';

/** A tensor by onnxruntime's own names; float16 as its bits. */
export interface Given {
  readonly type: Tensor.Type;
  readonly dims: readonly number[];
  readonly data:
    | Float32Array
    | Float64Array
    | Int8Array
    | Uint8Array
    | Int16Array
    | Uint16Array
    | Int32Array
    | Uint32Array
    | BigInt64Array
    | BigUint64Array
    | string[];
}

export type Optimisation = 'disabled' | 'all';

/**
 * onnxruntime called directly in this process: the third party that our parts are compared with. Its callers run
 * in a process that may die.
 */
export class Oracle {
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** Throws onnxruntime's own errors. */
  static async load(model: Uint8Array, optimisation: Optimisation = 'disabled'): Promise<Oracle> {
    return new Oracle(
      await InferenceSession.create(model, {
        graphOptimizationLevel: optimisation,
        logSeverityLevel: 4,
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
      }),
    );
  }

  async run(feeds: Readonly<Record<string, Given>>): Promise<Record<string, Given>> {
    const tensors = Object.fromEntries(
      Object.entries(feeds).map(([name, { type, data, dims }]) => [
        name,
        new Tensor(type, data as never, dims),
      ]),
    );
    const results = await this.#session.run(tensors);
    return Object.fromEntries(
      Object.entries(results).map(([name, { type, dims, data }]) => [
        name,
        { type, dims, data: data as Given['data'] },
      ]),
    );
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** One load and one run. */
export async function runOnce(
  model: Uint8Array,
  feeds: Readonly<Record<string, Given>>,
  optimisation: Optimisation = 'disabled',
): Promise<Record<string, Given>> {
  const oracle = await Oracle.load(model, optimisation);
  try {
    return await oracle.run(feeds);
  } finally {
    await oracle.release();
  }
}

/** Elements as numbers; not for strings. */
export const numbers = ({ type, data }: Given): Float64Array =>
  type === 'float16'
    ? Float64Array.from(data as Uint16Array, halfNumber)
    : Float64Array.from(data as ArrayLike<number | bigint>, Number);

/** A half-precision number from its bits (IEEE 754 binary16). */
function halfNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
