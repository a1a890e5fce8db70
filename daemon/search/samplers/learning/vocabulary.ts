import type { Architecture } from '../../../core/architecture.js';
import type { Json } from '../../../core/json.js';
import type { Space } from '../../spaces/contract.js';
import { isListable, listArchitectures } from '../list-space.js';

/** A sparse vector: columns and their values. */
export interface SparseRow {
  readonly columns: Int32Array;
  readonly values: Float64Array;
}

/**
 * Numbers the features of a space's architectures as they come: the space's own decisions, one-hot choices of index
 * vectors, or the labels and label pairs of a tree (module, connection, module with hyper-parameter: DeepArchitect,
 * surrogates/hashing). Column 0 is constantly 1.
 */
export class Vocabulary {
  readonly #space: Space;
  readonly #columns = new Map<string, number>([['', 0]]);
  readonly #rows = new Map<Architecture, SparseRow>();

  constructor(space: Space) {
    this.#space = space;
    if (space.decisions && isListable(space)) for (const a of listArchitectures(space)) this.row(a);
    else if (!space.decisions) {
      space.dims?.forEach((dim, i) => {
        for (const index of dim.choices.keys()) this.#column(`${i}=${index}`);
      });
    }
  }

  get size(): number {
    return this.#columns.size;
  }

  row(architecture: Architecture): SparseRow {
    const known = this.#rows.get(architecture);
    if (known) return known;
    const features = [...featuresOf(this.#space, architecture)];
    const row = {
      columns: Int32Array.from([0, ...features.map(([name]) => this.#column(name))]),
      values: Float64Array.from([1, ...features.map(([, value]) => value)]),
    };
    if (this.#rows.size > 100_000) this.#rows.clear();
    this.#rows.set(architecture, row);
    return row;
  }

  #column(name: string): number {
    const known = this.#columns.get(name);
    if (known !== undefined) return known;
    this.#columns.set(name, this.#columns.size);
    return this.#columns.size - 1;
  }
}

const vocabularies = new WeakMap<Space, Vocabulary>();

/**
 * The numbering decides which weight a draw of chance falls on, so it must not depend on what was asked before: where
 * the features cannot be listed beforehand, each ask starts a numbering of its own and reads its history first.
 */
export function vocabularyOf(space: Space): Vocabulary {
  if (space.decisions ? !isListable(space) : !space.dims) return new Vocabulary(space);
  const known = vocabularies.get(space) ?? new Vocabulary(space);
  vocabularies.set(space, known);
  return known;
}

function featuresOf(space: Space, architecture: Architecture): Iterable<readonly [string, number]> {
  if (space.decisions) return space.decisions(architecture);
  if (Array.isArray(architecture)) return architecture.map((index, i) => [`${i}=${index}`, 1] as const);
  const counts = new Map<string, number>();
  treeLabels(architecture as Json, '', (label) => counts.set(label, (counts.get(label) ?? 0) + 1));
  return counts;
}

/** Each object of a tree by its plain fields, and by its parent's label before its own. */
function treeLabels(node: Json, parent: string, add: (label: string) => void): void {
  if (node === null || typeof node !== 'object') return;
  if (Array.isArray(node)) {
    for (const item of node) treeLabels(item, parent, add);
    return;
  }
  const fields = Object.entries(node as { [key: string]: Json });
  const label = fields
    .filter(([, value]) => value === null || typeof value !== 'object')
    .map(([key, value]) => `${key}:${value}`)
    .join(' ');
  add(label);
  add(`${parent} > ${label}`);
  for (const [, value] of fields) treeLabels(value, label, add);
}
