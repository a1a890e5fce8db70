import { z } from 'zod';
import type { Architecture } from '../core/architecture.js';
import { asHildaError, type ErrorCode, HildaError } from '../core/errors.js';
import type { EvaluatorHost, GivenOptions, OwnedEvaluator, PluginEvaluator } from '../plugins/contract.js';
import type { Evaluator, Quality } from './contract.js';
import { checkEvaluated, givenValueSchema, readGiven } from './given-values.js';

const answerSchema = z.record(z.string(), givenValueSchema);
const method = z.custom<(...args: never[]) => unknown>((value) => typeof value === 'function', 'a function');
const shapeSchema = z.looseObject({
  metrics: z.array(z.string().min(1)).min(1),
  cost: z.enum(['free', 'cheap', 'train']),
  evaluate: method,
  close: method,
});

/**
 * The evaluator of a plug-in that a study's specification names, with every answer checked. Throws SPEC_INVALID for options that it
 * does not take, PLUGIN_FAILED where it breaks the contract.
 */
export async function openPluginEvaluator(
  { evaluator, plugin }: OwnedEvaluator,
  given: GivenOptions,
  host: EvaluatorHost,
): Promise<Evaluator> {
  const { kind } = evaluator;
  const who = `the evaluator ${kind} of ${plugin}`;
  const options = readOptions(evaluator, given);
  const inner = await guard(who, 'create', 'PLUGIN_FAILED', async () => evaluator.create(options, host));
  const shape = shapeSchema.safeParse(inner);
  if (!shape.success)
    throw new HildaError('PLUGIN_FAILED', `${who} is none: ${z.prettifyError(shape.error)}`);
  checkEvaluated(inner.metrics, 'evaluator');
  return new CheckedEvaluator(inner, who, `plug-in ${plugin}, ${kind}`);
}

function readOptions({ kind, readOptions: read }: OwnedEvaluator['evaluator'], given: GivenOptions): unknown {
  const invalid = (why: string, fields: readonly string[], cause?: unknown): HildaError =>
    new HildaError('SPEC_INVALID', `options of the evaluator ${kind}: ${why}`, {
      cause,
      details: { fields: [...fields] },
    });
  const [first] = Object.keys(given);
  if (!read) {
    if (first === undefined) return {};
    throw invalid(`it takes none, not ${first}`, [`evaluator.${first}`]);
  }
  try {
    return read(given);
  } catch (thrown) {
    throw invalid(thrown instanceof Error ? thrown.message : String(thrown), ['evaluator'], thrown);
  }
}

/** An error of the contract keeps its code; any other gets the given one. */
async function guard<T>(who: string, step: string, code: ErrorCode, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = asHildaError(thrown);
    if (error.code !== 'INTERNAL') throw error;
    throw new HildaError(code, `${who} threw in ${step}: ${error.message}`, { cause: thrown });
  }
}

class CheckedEvaluator implements Evaluator {
  readonly metrics: readonly string[];
  readonly cost: Evaluator['cost'];
  readonly #inner: PluginEvaluator;
  readonly #who: string;
  readonly #source: string;

  constructor(inner: PluginEvaluator, who: string, source: string) {
    this.#inner = inner;
    this.#who = who;
    this.#source = source;
    this.metrics = [...inner.metrics];
    this.cost = inner.cost;
  }

  /** Throws EVALUATION_FAILED for what it throws, PLUGIN_FAILED for an answer that is none, INTERRUPTED. */
  async evaluate(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Quality> {
    const interrupted = (): HildaError =>
      new HildaError('INTERRUPTED', 'the evaluation was aborted', { cause: options.signal.reason });
    if (options.signal.aborted) throw interrupted();
    const answer = await guard(this.#who, 'evaluate', 'EVALUATION_FAILED', () =>
      this.#inner.evaluate(architecture, options),
    ).catch((thrown: unknown) => {
      throw options.signal.aborted ? interrupted() : thrown;
    });
    const parsed = answerSchema.safeParse(answer);
    if (!parsed.success)
      throw new HildaError('PLUGIN_FAILED', `${this.#who} gave no values: ${z.prettifyError(parsed.error)}`);
    const [given, told] = [Object.keys(parsed.data).sort().join(', '), [...this.metrics].sort().join(', ')];
    if (given !== told)
      throw new HildaError('PLUGIN_FAILED', `${this.#who} gave ${given || 'nothing'}, and says ${told}`);
    return readGiven(parsed.data, { source: this.#source, code: 'PLUGIN_FAILED' });
  }

  close(): Promise<void> {
    return guard(this.#who, 'close', 'PLUGIN_FAILED', () => this.#inner.close());
  }
}
