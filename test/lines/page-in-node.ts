import type { Clock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import { gaussian, type Rng } from '../../daemon/core/rng.js';
import type { PageHub } from '../../daemon/devices/browser/hub.js';
import type { Connection } from '../../daemon/devices/connection.js';
import { PageLink } from '../../dashboard/join/src/page-link.js';
import type { Done, PageSocket, Runner, Shown, SocketEvents } from '../../dashboard/join/src/page-world.js';
import type { WorkerRequest } from '../../dashboard/join/src/wire.js';
import { aPage, atRest } from '../devices/join-bench.js';
import { admitAll } from './keys.js';
import type { SimulatedLine } from './simulated-line.js';

export interface PageInNodeOptions {
  readonly clock: Clock;
  readonly connect: (events: SocketEvents) => PageSocket;
  readonly rng: Rng;
  /** Pages with one key are tabs of one browser. */
  readonly key: string;
}

let opened = 0;

/** The join page's own code, with a worker that takes its time and computes nothing. */
export function openPage({ clock, connect, rng, key }: PageInNodeOptions) {
  const runner = new TimedRunner(clock, rng);
  const shown: Partial<Shown> = {};
  const links: string[] = [];
  let tries = 0;
  const page = new PageLink({
    about: { ...aPage, named: false, system: 'android' },
    instance: `instance-${++opened}`,
    clock,
    chance: () => rng.next(),
    runner,
    keys: { token: () => null, key: () => key, welcomed: () => {} },
    state: () => atRest,
    onState: () => () => {},
    connect: (events) => {
      tries++;
      return connect(events);
    },
    show: (change) => {
      if (change.link && change.link !== shown.link) links.push(change.link);
      Object.assign(shown, change);
    },
  });
  page.start();
  return { page, runner, shown, links, tries: () => tries };
}

/** As a browser's WebSocket, over a simulated line: made at once, open later, and closed in the end. */
export function socketOver(line: SimulatedLine, hub: PageHub, events: SocketEvents): PageSocket {
  let connection: Connection | null = null;
  let closed = false;
  const end = (code: number): void => {
    if (closed) return;
    closed = true;
    events.closed(code);
  };
  line
    .connect((far) => void hub.accept(far, admitAll))
    .then(
      (near) => {
        connection = near;
        if (closed) return near.drop();
        near.onMessage((message) => events.message(message));
        near.onClose(end);
        events.opened();
      },
      (thrown) => {
        asHildaError(thrown);
        end(1006);
      },
    );
  return {
    get open() {
      return connection !== null && !closed;
    },
    send: (message) => connection?.send(message),
    close: () => {
      // Without a code, as the page does it (RFC 6455, section 7.4.1: no status).
      if (connection) connection.close(1005, '');
      else end(1006);
    },
  };
}

/** One run of a network: the reference and the candidate take the same. */
const runUs = 400;
const timerStepUs = 5;

class TimedRunner implements Runner {
  readonly #clock: Clock;
  readonly #rng: Rng;
  #stopped = new AbortController();
  /** Loads, and calls that timed: all, and those of the candidate since it was loaded. */
  readonly counts = { loads: 0, timed: 0, ofCandidate: 0, candidateBytes: 0 };

  constructor(clock: Clock, rng: Rng) {
    this.#clock = clock;
    this.#rng = rng;
  }

  async start(): Promise<Done> {
    this.stop();
    this.#stopped = new AbortController();
    await this.#take(200);
    return { value: { touchedBytes: 1e6, timerStepUs } };
  }

  stop(): void {
    this.#stopped.abort(new Error('the worker was stopped'));
  }

  async ask(request: WorkerRequest): Promise<Done> {
    switch (request.op) {
      case 'load':
        this.counts.loads++;
        if (request.slot === 'candidate')
          Object.assign(this.counts, { ofCandidate: 0, candidateBytes: request.model.byteLength });
        await this.#take(request.model.byteLength / 1e5);
        return { value: { loadUs: 1000 } };
      case 'first':
        await this.#take(1);
        return { value: { firstRunUs: 1000, touchedBytes: 2e6 } };
      case 'time': {
        this.counts.timed++;
        if (request.legs.some(({ slot }) => slot === 'candidate')) this.counts.ofCandidate++;
        const runs = request.legs.reduce((sum, leg) => sum + leg.runs * leg.inner, 0);
        await this.#take((runs * runUs) / 1000);
        const samplesUs = request.legs.map(({ runs: samples, inner }) =>
          Array.from({ length: samples }, () => inner * runUs * Math.exp(0.005 * gaussian(this.#rng))),
        );
        return { value: { samplesUs, tookUs: runs * runUs } };
      }
      case 'run':
        return {
          value: {},
          outputs: request.inputs.map(({ name, dims, bytes }) => ({
            name,
            dims,
            data: new Float32Array(bytes.slice().buffer),
          })),
        };
      default:
        return { value: {} };
    }
  }

  #take(ms: number): Promise<void> {
    return this.#clock.sleep(ms, { signal: this.#stopped.signal });
  }
}
