import type { RemoteApi } from '../api/api-server.js';
import { DaemonIdentity } from '../api/identity/daemon-identity.js';
import type { JoinChannel } from '../api/join-channel.js';
import { JoinServer } from '../api/join-server.js';
import type { JoinAddress } from '../api/services.js';
import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import { hostNames, lanAddresses } from '../devices/own-addresses.js';

export interface LanPorts {
  readonly https?: number;
  /** Plain: pages run in the basic tier. */
  readonly http?: number;
  /** All networks by default. */
  readonly hostname?: string;
  /** Serves the API and the page by https too, to those who show a token. */
  readonly api?: boolean;
}

export interface LanDoorOptions extends LanPorts {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly joinDir: string;
  /** This machine's addresses and names as they are now. */
  readonly lanAddresses?: () => readonly string[];
  readonly hostNames?: () => readonly string[];
  /** Hears the ws addresses that agents can come back to, at the start and whenever they are others. */
  readonly onChange: (urls: readonly string[]) => void;
  readonly onError?: (error: HildaError, place: string) => void;
}

/** What the networks may reach of the API server. */
export interface LanChannels {
  readonly pages: JoinChannel;
  readonly agents: JoinChannel;
  remote?(): RemoteApi;
}

/** How often the machine's addresses are looked at. */
const lookMs = 10_000;

/** The servers by which phones and agents of the networks join; they follow the machine's addresses while they run. */
export class LanDoor {
  readonly #options: LanDoorOptions;
  readonly #bound: { readonly scheme: 'https' | 'http'; readonly port: number }[] = [];
  readonly #servers: JoinServer[] = [];
  readonly #life = new AbortController();
  #identity: DaemonIdentity | null = null;
  #watching: Promise<void> = Promise.resolve();
  /** What the clock of this machine was last found to be wrong by, so that it is said once. */
  #clockFault = false;

  constructor(options: LanDoorOptions) {
    this.#options = options;
  }

  /** Throws PORT_IN_USE, IDENTITY_UNUSABLE, DISK_FULL. What was opened before is closed by `stop`. */
  async start(channels: LanChannels, signal: AbortSignal): Promise<void> {
    const { pages, agents } = channels;
    const { https, http, hostname, api, dataDir, clock, joinDir } = this.#options;
    // The secure server first: it is the better address.
    for (const [scheme, port] of [
      ['https', https],
      ['http', http],
    ] as const) {
      if (port === undefined) continue;
      if (scheme === 'https')
        this.#identity = await DaemonIdentity.open({
          dataDir,
          clock,
          addresses: () => this.#hosts(),
          names: () => this.#names(),
        });
      const identity = scheme === 'https' ? this.#identity : null;
      const place = hostname === undefined ? {} : { hostname };
      const remote = identity && api ? channels.remote?.() : undefined;
      const server = new JoinServer({
        port,
        identity,
        joinDir,
        pages,
        agents,
        ...(remote && { remote }),
        ...place,
      });
      this.#servers.push(server);
      this.#bound.push({ scheme, port: await server.start(signal) });
    }
    if (this.#bound.length === 0) return;
    this.#options.onChange(this.#agentUrls());
    this.#watching = this.#watch(AbortSignal.any([signal, this.#life.signal]));
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#watching;
    await Promise.all(this.#servers.splice(0).map((server) => server.stop()));
  }

  /** Where the page is served; none unless `api` is set. */
  pageBases(): string[] {
    const bases = this.addresses().map(({ base }) => base);
    return this.#options.api ? bases.filter((base) => base.startsWith('https:')) : [];
  }

  /** As they are now, the best first. */
  addresses(): JoinAddress[] {
    const hosts = this.#hosts();
    return this.#bound.flatMap(({ scheme, port }) => {
      const identity = scheme === 'https' ? this.#identity : null;
      return (hosts.length > 0 ? hosts : ['127.0.0.1']).map((host) => ({
        base: `${scheme}://${host}:${port}`,
        note: notes[scheme],
        pin: identity?.pin ?? null,
        fingerprint: identity?.certificateFor(host).fingerprint ?? null,
      }));
    });
  }

  #hosts(): readonly string[] {
    const { hostname, lanAddresses: look = lanAddresses } = this.#options;
    return hostname === undefined ? look() : [hostname];
  }

  #names(): readonly string[] {
    const { hostname, hostNames: look = hostNames } = this.#options;
    return hostname === undefined ? look() : [];
  }

  /** By name too: a name may lead to a machine that has another address by then. */
  #agentUrls(): string[] {
    return this.#bound.flatMap(({ scheme, port }) =>
      [...this.#hosts(), ...this.#names()].map(
        (host) => `${scheme === 'https' ? 'wss' : 'ws'}://${host}:${port}`,
      ),
    );
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let before = '';
    while (!signal.aborted) {
      try {
        await this.#identity?.renew();
        this.#sayClock();
        const urls = this.#agentUrls();
        if (urls.join() !== before) this.#options.onChange(urls);
        before = urls.join();
      } catch (thrown) {
        this.#options.onError?.(asHildaError(thrown), 'the certificates');
      }
      await this.#options.clock.sleep(lookMs, { signal }).catch(() => {});
    }
  }

  #sayClock(): void {
    const fault = this.#identity?.clockFault() ?? null;
    if (fault && !this.#clockFault) this.#options.onError?.(fault, 'the certificates');
    this.#clockFault = fault !== null;
  }
}

const notes = {
  https: 'your networks (secure; the browser warns of a certificate that it does not know: accept it)',
  http: 'your networks (basic: coarse clock, one thread, no WebGPU)',
} as const;
