import express, { type Express, type Router } from 'express';
import { checkScope } from '../access/access.js';
import { AttemptLimit } from '../access/attempt-limit.js';
import { asHildaError, HildaError } from '../core/errors.js';
import { answerProblems } from './answer-problems.js';
import {
  type AuditEntry,
  checkFetchSite,
  type Door,
  openPage,
  recogniseCaller,
  withCaller,
} from './caller.js';
import { EventChannel } from './event-channel.js';
import { FrontDoor } from './front-door.js';
import { checkHostAndOrigin } from './host-guard.js';
import { JoinChannel } from './join-channel.js';
import { serveJoinPage } from './join-page.js';
import { serveMetrics } from './metrics.js';
import { mountRoutes, onlyMethods } from './mount-routes.js';
import { securityHeaders, servePage } from './page.js';
import { Readiness } from './readiness.js';
import { routes } from './routes/index.js';
import type { DaemonServices } from './services.js';
import { refusePlain, refuseUpgrade, routeUpgrades, type UpgradeHandler } from './upgrades.js';

const channelPaths = ['/v1/ws', '/v1/join', '/v1/agents/join'];

/** The API as another server takes it in. */
export interface RemoteApi {
  readonly app: Express;
  /** Of `/v1/ws`. */
  readonly upgrade: UpgradeHandler;
}

export interface ApiServerOptions {
  /** Of a door of its own; 0, which is the default, lets the system choose. */
  readonly port?: number;
  /** A door that is open already, in place of its own. */
  readonly opened?: { readonly front: FrontDoor; readonly url: string };
  /** The built dashboard; left out where none is served. */
  readonly dashboardDir?: string;
  /** The built page that phones open, served at /join/; left out where none is served. */
  readonly joinDir?: string;
  /** Hears of defects and of requests refused with a status of 500 and above. */
  readonly onError?: (error: HildaError, request: string) => void;
  /** Hears of every write that was asked for, and what became of it. */
  readonly onAudit?: (entry: AuditEntry) => void;
  /** Hears of every request that only read. */
  readonly onRead?: (entry: AuditEntry) => void;
}

/** REST under /v1, the ws channel /v1/ws and the page at /, on one port. */
export class ApiServer {
  readonly #services: DaemonServices;
  readonly #options: ApiServerOptions;
  readonly #stopping = new AbortController();
  readonly #channel: EventChannel;
  /** Shared with the servers that the daemon shows to its networks. */
  readonly pages: JoinChannel;
  readonly agents: JoinChannel;
  readonly #router: Router;
  #door: FrontDoor | undefined;

  constructor(services: DaemonServices, options: ApiServerOptions) {
    this.#services = services;
    this.#options = options;
    this.#channel = new EventChannel(services);
    this.#router = mountRoutes(routes, services, this.#stopping.signal);
    const { joining, clock } = services;
    const shared = {
      clock,
      attempts: new AttemptLimit({ clock }),
      guestOf: (pairing: string) => joining.keys.guestOf(pairing),
    };
    this.pages = new JoinChannel({ accept: (...whom) => joining.acceptPage(...whom), ...shared });
    this.agents = new JoinChannel({ accept: (...whom) => joining.acceptAgent(...whom), ...shared });
  }

  /** Answers with the address to open. Throws PORT_IN_USE. */
  async start(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { front, url } = await this.#open();
    this.#door = front;
    const door = { access: this.#services.access };
    front.lead(this.#serve(express(), door));
    const life = AbortSignal.any([signal, this.#stopping.signal]);
    routeUpgrades(front.http, checkHostAndOrigin, {
      '/v1/ws': (...args) => void this.#upgrade(door, ...args),
      '/v1/join': (...args) => this.pages.upgrade(...args),
      '/v1/agents/join': (...args) => this.agents.upgrade(...args),
    });
    for (const channel of [this.#channel, this.pages, this.agents]) channel.start(life);
    return url;
  }

  async #open(): Promise<{ readonly front: FrontDoor; readonly url: string }> {
    const { opened, port = 0 } = this.#options;
    if (opened) return opened;
    const readiness = new Readiness(this.#services.clock);
    readiness.started();
    const front = new FrontDoor({ port, readiness });
    return { front, url: await front.open() };
  }

  /**
   * What a server open to the networks serves beside what joins there: the same for those who were given a token or a link, and
   * nothing for others. The server's own guard stands before it.
   */
  remote(): RemoteApi {
    const { clock, access } = this.#services;
    const door = { access, attempts: new AttemptLimit({ clock, most: 30 }) };
    return {
      app: this.#serve(express(), door),
      upgrade: (...args) => void this.#upgrade(door, ...args),
    };
  }

  /** Ends running requests, then the connections. May be called more than once. */
  async stop(): Promise<void> {
    this.#stopping.abort(
      new HildaError('INTERRUPTED', 'the daemon is stopping', { details: { stopping: true } }),
    );
    await Promise.all([this.#channel, this.pages, this.agents].map((channel) => channel.stop()));
    await this.#door?.close();
  }

  /** The channel of events reads all: who opens it shows a token as a request does. */
  async #upgrade(door: Door, ...[request, socket, head]: Parameters<UpgradeHandler>): Promise<void> {
    try {
      checkFetchSite(request);
      const mayRead = async (): Promise<void> => {
        const caller = await recogniseCaller(request, door);
        if (caller) checkScope(caller, 'read');
      };
      await mayRead();
      this.#channel.upgrade(request, socket, head, mayRead);
    } catch (thrown) {
      refuseUpgrade(socket, asHildaError(thrown));
    }
  }

  /** The API and the page, behind the guard that `app` begins with. */
  #serve(app: Express, door: Door): Express {
    app.disable('x-powered-by');
    app.set('query parser', 'simple');
    app.set('etag', false);
    app.use(securityHeaders);
    if (door.access) app.get('/open', openPage(door.access));
    app.use('/v1', withCaller(door, this.#options), this.#router);
    app.get('/metrics', withCaller(door, this.#options), serveMetrics(this.#services));
    for (const path of channelPaths) app.all(path, refusePlain);
    if (this.#options.joinDir) app.use(serveJoinPage(this.#options.joinDir));
    if (this.#options.dashboardDir) app.use(servePage(this.#options.dashboardDir));
    const readOnly = onlyMethods(['get']);
    app.use((request, response, next) => {
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (!isRead && !request.path.startsWith('/v1/')) return readOnly(request, response, next);
      throw new HildaError('NOT_FOUND', `nothing answers ${request.method} ${request.path}`, {
        hint: 'Look at /v1/openapi.json.',
      });
    });
    app.use(answerProblems(this.#options.onError));
    return app;
  }
}
