import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import express from 'express';
import { HildaError } from '../core/errors.js';
import { answerProblems } from './answer-problems.js';
import type { RemoteApi } from './api-server.js';
import { checkHostAndOrigin, checkOwnOrigin, guarded } from './host-guard.js';
import type { DaemonIdentity } from './identity/daemon-identity.js';
import { createIdentityServer } from './identity/identity-server.js';
import type { JoinChannel } from './join-channel.js';
import { serveJoinPage } from './join-page.js';
import { limitSilent } from './limit-silent.js';
import { listen } from './listen.js';
import { routeUpgrades } from './upgrades.js';

export interface JoinServerOptions {
  /** 0 lets the system choose. */
  readonly port: number;
  /** Where to listen; all networks by default. */
  readonly hostname?: string;
  /** Where tunnels of phones on cables end: listens on 127.0.0.1 and answers to this machine's loopback names alone. */
  readonly loopback?: boolean;
  /** Null for plain http: pages then run in the basic tier. */
  readonly identity: DaemonIdentity | null;
  readonly joinDir: string;
  readonly pages: JoinChannel;
  /** Left out where no agent may join. */
  readonly agents?: JoinChannel;
  /** Left out, nothing of the API is served. Needs an identity: tokens would travel in the clear. */
  readonly remote?: RemoteApi;
}

/** Of a request: slow clients must not use the sockets up. */
const headMs = 5000;
const mostConnections = 1000;

/**
 * What the daemon shows to its networks, and to phones on cables, as an agent does to its own: the page that phones open and
 * the channels to join by, and nothing of the API (NOT_FOUND) unless `remote` is given. Everyone who joins needs a token or key, which no page
 * elsewhere can have: a foreign Origin is refused all the same.
 */
export class JoinServer {
  readonly #options: JoinServerOptions;
  #http: Server | undefined;
  /** Those of channels too: once upgraded, they are no longer the http server's to close. */
  readonly #sockets = new Set<Socket>();

  constructor(options: JoinServerOptions) {
    this.#options = options;
  }

  /** Listens; answers with the port. Throws PORT_IN_USE. */
  async start(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const { identity, port, loopback = false, joinDir, pages, agents, remote } = this.#options;
    if (remote && !identity) throw new HildaError('INTERNAL', 'the API is served to networks by https alone');
    const hostname = loopback ? '127.0.0.1' : (this.#options.hostname ?? '0.0.0.0');
    const check = loopback ? checkHostAndOrigin : checkOwnOrigin(identity ? 'https' : 'http');
    const app = express();
    app.disable('x-powered-by');
    app.use(guarded(check), serveJoinPage(joinDir));
    if (remote) app.use(remote.app);
    app.use(({ method, path }) => {
      throw new HildaError('NOT_FOUND', `nothing answers ${method} ${path} here`, {
        hint: "Phones find /join/ here. The API and the page are on the daemon's own machine, unless it runs with --lan-api.",
      });
    });
    app.use(answerProblems());
    const http = identity
      ? createIdentityServer(identity, app)
      : createServer({ connectionsCheckingInterval: 1000 }, app);
    http.headersTimeout = headMs;
    http.maxConnections = mostConnections;
    limitSilent(http);
    http.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#http = http;
    routeUpgrades(http, check, {
      '/v1/join': (...args) => pages.upgrade(...args),
      ...(agents && { '/v1/agents/join': (...args) => agents.upgrade(...args) }),
      ...(remote && { '/v1/ws': remote.upgrade }),
    });
    await listen(http, { port, host: hostname });
    return (http.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const http = this.#http;
    this.#http = undefined;
    if (!http) return;
    await new Promise<void>((resolve) => {
      http.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}
