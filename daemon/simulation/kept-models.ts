import { sha256Hex } from '../core/hash.js';
import type { BlobId } from '../core/ids.js';
import type { Graph } from '../network/graph.js';
import { readModel } from '../reading/read-model.js';
import type { BlobStore } from '../store/contract.js';

/** Models in memory, also stored where there is a folder. Each is decoded once. */
export class KeptModels implements BlobStore {
  readonly #stored: BlobStore | undefined;
  readonly #bytes = new Map<BlobId, Uint8Array>();
  readonly #graphs = new WeakMap<Uint8Array, Promise<Graph>>();

  constructor(stored?: BlobStore) {
    this.#stored = stored;
  }

  async put(bytes: Uint8Array): Promise<BlobId> {
    const id = sha256Hex(bytes) as BlobId;
    if (!this.#bytes.has(id)) {
      await this.#stored?.put(bytes);
      this.#bytes.set(id, bytes);
    }
    return id;
  }

  async get(id: BlobId): Promise<Uint8Array> {
    return this.#bytes.get(id) as Uint8Array;
  }

  async has(id: BlobId): Promise<boolean> {
    return this.#bytes.has(id);
  }

  /** Throws what `readModel` throws. */
  read(bytes: Uint8Array): Promise<Graph> {
    const known = this.#graphs.get(bytes) ?? readModel(bytes);
    this.#graphs.set(bytes, known);
    return known;
  }
}
