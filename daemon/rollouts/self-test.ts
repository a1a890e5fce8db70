import { HildaError } from '../core/errors.js';
import { constantInputs } from '../devices/bind-network.js';
import type { Drawn, Tensors } from '../devices/contract.js';
import { answerHash, testInputs } from '../devices/random-inputs.js';
import { networkOf, type Places } from '../jobs/bound-network.js';
import type { ModelRef } from '../jobs/job.js';
import type { Graph } from '../network/graph.js';
import { modelBytes } from '../network/model-source.js';
import { SessionProcess } from '../runtime/session-process.js';
import { asInputs, asTensors } from '../runtime/tensors.js';

/** An answer as a job's record holds it. */
export type PlainAnswer = Readonly<
  Record<string, { readonly dims: readonly number[]; readonly data: readonly number[] }>
>;

interface Test {
  /** Blobs, in order: float32 elements of all inputs, one behind the other. Stored anew, as blobs go a day after their use. */
  readonly inputs: () => Promise<readonly string[]>;
  /** What onnxruntime answers on this machine; computed when first asked for. */
  readonly expected: () => Promise<readonly Tensors[]>;
}

const testTimeoutMs = 600_000;
/** So many networks are remembered with their answers. */
const mostKept = 20;

/** Test inputs of networks, and what they must be answered with. */
export class SelfTests {
  readonly #places: Places;
  readonly #life: AbortSignal;
  readonly #tests = new Map<string, Promise<Test>>();

  constructor(places: Places, life: AbortSignal) {
    this.#places = places;
    this.#life = life;
  }

  /** Throws NOT_FOUND where the model is gone, NETWORK_REJECTED for inputs that cannot be drawn. */
  of(network: ModelRef, drawn: Drawn): Promise<Test> {
    const key = JSON.stringify([network, drawn]);
    let known = this.#tests.get(key);
    if (!known) {
      known = this.#make(network, drawn);
      known.catch(() => this.#tests.delete(key));
      this.#tests.set(key, known);
      const [oldest] = this.#tests.keys();
      if (this.#tests.size > mostKept && oldest !== undefined) this.#tests.delete(oldest);
    }
    return known;
  }

  async #make(ref: ModelRef, drawn: Drawn): Promise<Test> {
    const network = constantInputs(await networkOf(ref, this.#places));
    const tests = testInputs(network, drawn);
    const { uploads } = this.#places;
    let expected: Promise<readonly Tensors[]> | undefined;
    return {
      inputs: async () => {
        const blobs: string[] = [];
        for (const one of tests) blobs.push(await uploads.put(elementsOf(network, one)));
        return blobs;
      },
      expected: () => {
        expected ??= this.#answers(network, tests);
        expected.catch(() => {
          expected = undefined;
        });
        return expected;
      },
    };
  }

  async #answers(network: Graph, tests: readonly Tensors[]): Promise<readonly Tensors[]> {
    const process = new SessionProcess();
    const limits = { signal: this.#life, timeoutMs: testTimeoutMs };
    try {
      const { handle } = await process.load(modelBytes(network), { provider: 'cpu', threads: 1 }, limits);
      const answers: Tensors[] = [];
      for (const one of tests)
        answers.push(asTensors(await process.run(handle, asInputs(network, one), {}, limits)));
      return answers;
    } finally {
      await process.stop();
    }
  }
}

/** The bytes that a blob of one example holds. */
function elementsOf({ inputs }: Graph, tensors: Tensors): Uint8Array {
  const parts = inputs.map(({ name }) => tensors[name]?.data ?? new Float32Array());
  return Buffer.concat(
    parts.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
  );
}

/** Throws SELF_TEST_FAILED where an answer differs from the integer reference's by one bit. */
export function assertEqual(answer: PlainAnswer, hash: string | undefined, input: number): void {
  if (answerHash(answer) === hash) return;
  throw wrong(input, 'it differs from what the integer reference answers');
}

/** Throws SELF_TEST_FAILED where an element is further off than `tolerance`, a share of its output's largest value. */
export function assertClose(answer: PlainAnswer, expected: Tensors, tolerance: number, input: number): void {
  for (const [name, { data }] of Object.entries(expected)) {
    const given = answer[name]?.data;
    if (given?.length !== data.length)
      throw wrong(
        input,
        `the output ${name} has ${given?.length ?? 'no'} elements, ${data.length} are expected`,
      );
    let largest = 1e-6;
    for (const value of data) if (Math.abs(value) > largest) largest = Math.abs(value);
    const off = data.findIndex((value, i) => {
      // JSON holds no value that is not finite.
      if (!Number.isFinite(value)) return Number.isFinite(given[i]) && given[i] !== null;
      return given[i] === null || !(Math.abs((given[i] as number) - value) <= tolerance * largest);
    });
    if (off < 0) continue;
    throw wrong(input, `${name}[${off}] is ${given[off]}, the reference answers ${data[off]}`);
  }
}

const wrong = (input: number, why: string): HildaError =>
  new HildaError('SELF_TEST_FAILED', `the answer to test input ${input + 1} is wrong: ${why}`, {
    details: { input: input + 1 },
  });
