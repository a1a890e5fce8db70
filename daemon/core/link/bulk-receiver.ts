import { HildaError } from '../errors.js';
import { sha256Hex } from '../hash.js';
import { type Acknowledgement, type BlobAnnouncement, decodePiece } from './pieces.js';

export interface BulkReceiverOptions {
  /** Bound of everything that is held together. */
  readonly maxBytes: number;
  /** Contents that were taken stay, the latest ones, within this bound; none by default. */
  readonly keepBytes?: number;
  /** A SHA-256 that is faster than the one in plain JavaScript. */
  readonly hash?: (bytes: Uint8Array) => string;
}

interface Content {
  readonly blob: Uint8Array;
  received: number;
  taken: boolean;
}

/**
 * Puts contents together, known by their SHA-256. What came of one outlasts the connection: its next announcement finds it.
 * Everything that breaks the order or a bound is MESSAGE_INVALID.
 */
export class BulkReceiver {
  readonly #options: Required<BulkReceiverOptions>;
  /** The one used last is last. */
  readonly #contents = new Map<string, Content>();
  /** The transfers of the present connection. */
  #transfers = new Map<number, string>();

  constructor(options: BulkReceiverOptions) {
    this.#options = { keepBytes: 0, hash: sha256Hex, ...options };
  }

  /** Answers with what is here of it. Throws NETWORK_TOO_LARGE where there is no room for it. */
  announce({ transfer, bytes, sha256 }: BlobAnnouncement): Acknowledgement {
    if (this.#transfers.has(transfer)) throw invalid(`transfer ${transfer} was announced twice`);
    const present = this.#contents.get(sha256);
    if (present && present.blob.byteLength !== bytes) throw invalid(`transfer ${transfer} changed its size`);
    if (!present) this.#makeRoom(bytes);
    const content = present ?? { blob: new Uint8Array(bytes), received: 0, taken: false };
    content.taken = false;
    this.#contents.delete(sha256);
    this.#contents.set(sha256, content);
    this.#transfers.set(transfer, sha256);
    return { transfer, bytes: content.received };
  }

  /** Takes one piece in. `whole` is the content's name once all of it is here and is what its name says. */
  piece(frame: Uint8Array): Acknowledgement & { readonly whole: string | null } {
    const { transfer, offset, bytes } = decodePiece(frame);
    const sha256 = this.#transfers.get(transfer);
    const content = sha256 === undefined ? undefined : this.#contents.get(sha256);
    if (sha256 === undefined || !content)
      throw invalid(`a piece of transfer ${transfer}, which was not announced`);
    if (offset !== content.received || offset + bytes.byteLength > content.blob.byteLength)
      throw invalid(`a piece of transfer ${transfer} at ${offset}, expected at ${content.received}`);
    this.#add(content, sha256, bytes);
    return { transfer, bytes: content.received, whole: this.has(sha256) ? sha256 : null };
  }

  /** Whether all of a content is here. */
  has(sha256: string): boolean {
    const content = this.#contents.get(sha256);
    return content !== undefined && content.received === content.blob.byteLength;
  }

  /** Hands out a whole content. It stays for its next announcement as far as `keepBytes` allow. */
  take(sha256: string): Uint8Array {
    const content = this.#contents.get(sha256);
    if (!content || !this.has(sha256)) throw invalid(`the content ${sha256} is used before it is whole`);
    content.taken = true;
    this.#trimTaken();
    return content.blob;
  }

  /**
   * The connection is given up: its transfers mean nothing to the next one, their bytes do. Answers with what takes a piece that
   * still comes by it, as long as the next one does not carry the same content.
   */
  disconnect(): (frame: Uint8Array) => void {
    const former = this.#transfers;
    this.#transfers = new Map();
    return (frame) => {
      const { transfer, offset, bytes } = decodePiece(frame);
      const sha256 = former.get(transfer);
      const content = sha256 === undefined ? undefined : this.#contents.get(sha256);
      if (sha256 === undefined || !content || [...this.#transfers.values()].includes(sha256)) return;
      const fits = offset === content.received && offset + bytes.byteLength <= content.blob.byteLength;
      if (fits) this.#add(content, sha256, bytes);
    };
  }

  #add(content: Content, sha256: string, bytes: Uint8Array): void {
    content.blob.set(bytes, content.received);
    content.received += bytes.byteLength;
    // Damaged, or it began as something else: all of it comes again.
    if (this.has(sha256) && this.#options.hash(content.blob) !== sha256) content.received = 0;
  }

  /** Announced contents of the present connection that were not taken yet keep their place; older ones give way. */
  #makeRoom(bytes: number): void {
    const { maxBytes } = this.#options;
    if (bytes > maxBytes) throw tooLarge(bytes, maxBytes);
    const live = new Set(this.#transfers.values());
    for (const [sha256, { taken }] of this.#contents) {
      if (this.#total + bytes <= maxBytes) return;
      if (taken || !live.has(sha256)) this.#contents.delete(sha256);
    }
    if (this.#total + bytes > maxBytes) throw tooLarge(this.#total + bytes, maxBytes);
  }

  #trimTaken(): void {
    let left = this.#options.keepBytes;
    for (const [sha256, { blob, taken }] of [...this.#contents].reverse()) {
      if (!taken) continue;
      left -= blob.byteLength;
      if (left < 0) this.#contents.delete(sha256);
    }
  }

  get #total(): number {
    return [...this.#contents.values()].reduce((sum, { blob }) => sum + blob.byteLength, 0);
  }
}

const invalid = (message: string): HildaError => new HildaError('MESSAGE_INVALID', message);

const tooLarge = (bytes: number, limit: number): HildaError =>
  new HildaError('NETWORK_TOO_LARGE', `${bytes} bytes exceed the ${limit} that are held at once`, {
    details: { bytes, limit },
  });
