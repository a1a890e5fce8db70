import { asHildaError, HildaError } from '../core/errors.js';
import { structureHash } from '../network/canonical-text.js';
import type { Graph } from '../network/graph.js';
import { charged } from './suspicion.js';

/** A device that leaves so often during one network is driven away by it. */
const tellingDepartures = 3;

/**
 * How often a device left during a network. One that ends the page, the agent or the phone says no word: each time the device
 * is back, the network drives it away again. Not safe for two jobs at a time: a device has one.
 */
export class Departures {
  /** By structure; an entry lives until its network ran or was found at fault. */
  readonly #counts = new Map<string, number>();

  /**
   * Does the work. Before the last departure that counts, the device must run the reference; then the network is at fault,
   * with `details.atFault`. Throws what the work and the reference throw.
   */
  async watch<T>(
    network: Graph,
    {
      device,
      work,
      reference,
    }: {
      readonly device: string;
      readonly work: () => Promise<T>;
      readonly reference: () => Promise<void>;
    },
  ): Promise<T> {
    const known = this.#counts.size > 0 ? (this.#counts.get(structureHash(network)) ?? 0) : 0;
    if (known >= tellingDepartures - 1) await reference();
    try {
      const result = await work();
      if (known > 0) this.#counts.delete(structureHash(network));
      return result;
    } catch (thrown) {
      const error = asHildaError(thrown);
      const key = structureHash(network);
      // One that left before it had the network was not driven away by it.
      if (error.details.unreached === true) throw thrown;
      if (error.code !== 'DEVICE_GONE') {
        if (error.details.atFault === 'network') this.#counts.delete(key);
        throw thrown;
      }
      this.#counts.set(key, known + 1);
      if (known + 1 < tellingDepartures) throw thrown;
      this.#counts.delete(key);
      const told = new HildaError('NETWORK_REJECTED', error.message, { cause: error });
      throw charged(
        told,
        'network',
        `${error.message} (${device} left ${known + 1} times during it, and ran a reference network in between)`,
      );
    }
  }
}
