import { type Rng, Xoshiro128 } from '../../daemon/core/rng.js';
import type { Given } from '../agreement/onnxruntime.js';
import { Draft, type NodeDraft } from './random-graphs/draft.js';
import { elementwiseMakers } from './random-graphs/elementwise.js';
import { indexingMakers } from './random-graphs/indexing.js';
import { layoutMakers } from './random-graphs/layout.js';
import { encodeModel, type ModelDraft } from './random-graphs/model.js';
import { productMakers } from './random-graphs/products.js';
import { quantisedMakers } from './random-graphs/quantised.js';
import { reductionMakers } from './random-graphs/reductions.js';
import { resizingMakers } from './random-graphs/resizing.js';
import { windowMakers } from './random-graphs/windows.js';

/** The newest operator set that the onnxruntime of this project knows. */
export const newestOpset = 26;

/** A drawn model with the input that it was drawn with and what onnxruntime computes of it. */
export interface RandomModel extends ModelDraft {
  readonly bytes: Uint8Array;
  /** Every value of the run, by name. */
  readonly values: ReadonlyMap<string, Given>;
}

type Maker = (d: Draft) => NodeDraft[] | undefined;
const topics: readonly (readonly Maker[])[] = [
  ...[windowMakers, windowMakers, windowMakers],
  ...[elementwiseMakers, elementwiseMakers, elementwiseMakers],
  ...[layoutMakers, layoutMakers, layoutMakers],
  ...[reductionMakers, reductionMakers],
  ...[productMakers, productMakers],
  resizingMakers,
  quantisedMakers,
  indexingMakers,
];

/**
 * A random model that onnxruntime runs, the same for the same seed: 1 to 8 draws of operators with any attributes, values
 * read twice or not at all, outputs that are read inside as well.
 */
export async function randomModel(seed: number): Promise<RandomModel> {
  const rng: Rng = Xoshiro128.fromSeed(seed);
  for (;;) {
    const opset = 7 + Math.floor(rng.next() * (newestOpset - 6));
    const draft = new Draft(rng, opset);
    const wanted = draft.int(1, draft.chance(0.5) ? 3 : 8);
    for (let tries = 0, made = 0; made < wanted && tries < 30; tries++) {
      const nodes = draft.pick(draft.pick(topics))(draft);
      if (nodes && (await draft.add(nodes))) made++;
    }
    if (draft.nodes.length > 0) return finished(draft);
  }
}

function finished(draft: Draft): RandomModel {
  const read = new Set(draft.nodes.flatMap(({ inputs }) => inputs));
  const computed = draft.nodes.flatMap(({ outputs }) => outputs).filter((name) => draft.values.has(name));
  const ends = computed.filter((name) => !read.has(name));
  // Some nodes compute what nobody asks for; some values are asked for and read on.
  const outputs = computed.filter((name) => (read.has(name) ? draft.chance(0.12) : draft.chance(0.93)));
  if (outputs.length === 0) outputs.push((ends.at(-1) ?? computed.at(-1)) as string);
  const inputs = new Map([...draft.inputs].filter(([name]) => read.has(name) || draft.chance(0.1)));
  const model = { opset: draft.opset, inputs, constants: draft.constants, nodes: draft.nodes, outputs };
  return { ...model, bytes: encodeModel(model), values: draft.values };
}
