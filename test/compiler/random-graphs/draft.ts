import { gaussian, pick, type Rng, randomInt } from '../../../daemon/core/rng.js';
import { type Given, numbers, runOnce } from '../../agreement/onnxruntime.js';
import { type Attributes, type ConstantPlace, encodeModel, type NodeDraft } from './model.js';
import { freshName } from './names.js';

export type { NodeDraft } from './model.js';

/** Largest value that a node may compute, and most elements: boards are small and int8 is coarse. */
const maxMagnitude = 1e3;
const maxElements = 3000;

/** A model in the making: every node is run by onnxruntime as it is added, so that all values are known. */
export class Draft {
  readonly rng: Rng;
  readonly opset: number;
  readonly inputs = new Map<string, Given>();
  readonly constants = new Map<string, { readonly given: Given; readonly place: ConstantPlace }>();
  readonly nodes: NodeDraft[] = [];
  /** What nodes and inputs hold in the run that the model was drawn with. */
  readonly values = new Map<string, Given>();
  readonly #taken = new Set<string>();

  constructor(rng: Rng, opset: number) {
    this.rng = rng;
    this.opset = opset;
  }

  chance(probability: number): boolean {
    return this.rng.next() < probability;
  }

  /** Uniform whole number from low to high, both of them included. */
  int(low: number, high: number): number {
    return low + randomInt(this.rng, high - low + 1);
  }

  pick<T>(items: readonly T[]): T {
    return pick(this.rng, items);
  }

  name(near?: string): string {
    const name = freshName(this.rng, this.#taken, near);
    this.#taken.add(name);
    return name;
  }

  input(dims: readonly number[]): string {
    const name = this.name();
    const [scale, shift] = [this.pick([0.5, 1, 3]), this.pick([0, 0, 1])];
    const given = floats(dims, () => scale * gaussian(this.rng) + shift);
    this.inputs.set(name, given);
    this.values.set(name, given);
    return name;
  }

  /** Whole numbers from 0 to below `limit`. */
  wholeInput(dims: readonly number[], limit: number): string {
    const name = this.name();
    const length = dims.reduce((a, b) => a * b, 1);
    const draw = (): number => this.int(0, limit - 1);
    const given: Given = this.chance(0.5)
      ? { type: 'int64', dims, data: BigInt64Array.from({ length }, () => BigInt(draw())) }
      : { type: 'int32', dims, data: Int32Array.from({ length }, draw) };
    this.inputs.set(name, given);
    this.values.set(name, given);
    return name;
  }

  /** Weights; now and then ones that the model has already, of the same shape. */
  weight(dims: readonly number[], spread = 0.5, near?: string): string {
    const same = [...this.constants].filter(
      ([, { given }]) => given.type === 'float32' && given.dims.join() === dims.join(),
    );
    if (same.length > 0 && this.chance(0.25)) return this.pick(same)[0];
    return this.constant(
      floats(dims, () => spread * gaussian(this.rng)),
      near,
    );
  }

  constant(given: Given, near?: string): string {
    const name = this.name(near);
    const place = this.chance(0.6) ? 'initializer' : this.pick(['node', 'identity', 'overridable'] as const);
    this.constants.set(name, { given, place });
    return name;
  }

  /** Shapes, axes, scales and limits: where an exporter would write them. */
  ints(values: readonly number[]): string {
    return this.constant({
      type: 'int64',
      dims: [values.length],
      data: BigInt64Array.from(values, BigInt),
    });
  }

  floats(values: readonly number[], dims: readonly number[] = [values.length]): string {
    return this.constant({ type: 'float32', dims, data: Float32Array.from(values) });
  }

  scalar(value: number): string {
    return this.floats([value], this.chance(0.5) ? [] : [1]);
  }

  dims(name: string): readonly number[] {
    return (this.values.get(name) ?? this.constants.get(name)?.given)?.dims ?? [];
  }

  /** A float value that the condition allows, mostly a late one; a fresh input where there is none. */
  value(fits: (dims: readonly number[]) => boolean = () => true): string | undefined {
    const all = [...this.values].filter(([, { type, dims }]) => type === 'float32' && fits(dims));
    if (all.length === 0) return undefined;
    return this.chance(0.6) ? (all.at(-1)?.[0] as string) : this.pick(all)[0];
  }

  /** As `value`, with a new input of these sizes where none fits. */
  valueOr(fits: (dims: readonly number[]) => boolean, dims: () => readonly number[]): string {
    return this.value(fits) ?? this.input(dims());
  }

  /** An axis in either way of counting where the operator set knows both. */
  axis(rank: number, from = 0): number {
    const axis = this.int(from, rank - 1);
    return this.opset >= 11 && this.chance(0.4) ? axis - rank : axis;
  }

  node(op: string, inputs: readonly string[], attributes: Attributes = {}, outputs = 1): NodeDraft {
    const near = inputs[0];
    return { op, inputs, attributes, outputs: Array.from({ length: outputs }, () => this.name(near)) };
  }

  /** Adds nodes that belong together, if onnxruntime runs them and their values are fit for 8 bits. */
  async add(nodes: readonly NodeDraft[]): Promise<boolean> {
    const made = new Set(nodes.flatMap(({ outputs }) => outputs));
    const read = [...new Set(nodes.flatMap(({ inputs }) => inputs))].filter(
      (name) => name && !made.has(name),
    );
    const feeds = Object.fromEntries(
      read.flatMap((name) => {
        const given = this.values.get(name);
        return given ? [[name, given]] : [];
      }),
    );
    const bytes = encodeModel({
      opset: this.opset,
      inputs: new Map(Object.entries(feeds)),
      constants: new Map([...this.constants].filter(([name]) => read.includes(name))),
      nodes,
      outputs: [...made].filter((name) => name !== ''),
    });
    let results: Record<string, Given>;
    try {
      results = await runOnce(bytes, feeds);
    } catch {
      return false;
    }
    if (!Object.values(results).every(isFit)) return false;
    this.nodes.push(...nodes);
    for (const [name, value] of Object.entries(results)) this.values.set(name, value);
    return true;
  }
}

function isFit(value: Given): boolean {
  const count = value.data.length;
  if (count === 0 || count > maxElements || value.type === 'string') return false;
  return value.type !== 'float32' || numbers(value).every((x) => Math.abs(x) <= maxMagnitude);
}

function floats(dims: readonly number[], draw: () => number): Given {
  const length = dims.reduce((a, b) => a * b, 1);
  return { type: 'float32', dims, data: Float32Array.from({ length }, draw) };
}
