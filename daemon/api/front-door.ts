import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Express, type Router } from 'express';
import { HildaError } from '../core/errors.js';
import { answerProblems } from './answer-problems.js';
import { checkHostAndOrigin, guarded } from './host-guard.js';
import { listen } from './listen.js';
import { onlyMethods } from './mount-routes.js';
import { answerParseErrors } from './parse-errors.js';
import type { Readiness } from './readiness.js';

export interface FrontDoorOptions {
  /** 0 lets the system choose. */
  readonly port: number;
  /** Loopback only: tokens would travel in the clear. */
  readonly hostname?: '127.0.0.1' | '::1';
  /** A listening socket that a service manager made, by its descriptor: in place of port and host name. */
  readonly socket?: number;
  readonly readiness: Readiness;
}

/** Of a request: another user of the machine must not use the sockets up with connections that say nothing. */
const headMs = 20_000;

/**
 * The daemon's port. It is open from the first moment of a start: until the API serves, every request is answered with
 * what it waits for.
 */
export class FrontDoor {
  readonly http: Server;
  readonly #options: FrontDoorOptions;
  #api: Express | undefined;
  #isOpen = false;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    const { readiness } = options;
    const app = express();
    app.disable('x-powered-by');
    app.use(guarded(checkHostAndOrigin), probes(readiness));
    app.use(async (request, response, next) => {
      if (this.#api) return this.#api(request, response, next);
      await readiness.check();
      // Between the last part and the API.
      throw new HildaError('DAEMON_NOT_READY', 'the API does not serve yet');
    });
    app.use(answerProblems());
    // A request without a host name is refused by the guard, as one with a foreign name is.
    this.http = createServer(
      { requireHostHeader: false, connectionsCheckingInterval: 1000 },
      app as RequestListener,
    );
    this.http.headersTimeout = headMs;
    answerParseErrors(this.http);
  }

  /** Listens; answers with the address. Throws PORT_IN_USE, and USAGE_INVALID for a socket that is not one of loopback. */
  async open(): Promise<string> {
    const { port, hostname = '127.0.0.1', socket } = this.#options;
    this.#isOpen = true;
    await listen(this.http, socket === undefined ? { port, host: hostname } : { fd: socket });
    const address = this.http.address() as AddressInfo | string | null;
    if (typeof address !== 'object' || !address || !isLoopback(address.address)) {
      await this.close();
      const name = typeof address === 'string' ? address : address?.address;
      throw new HildaError(
        'USAGE_INVALID',
        `the socket that was passed listens on ${name}, not on loopback`,
        {
          hint: 'Write ListenStream=127.0.0.1:4380 in the socket unit. Other machines are served by --lan-api.',
        },
      );
    }
    return `http://${address.family === 'IPv6' ? '[::1]' : '127.0.0.1'}:${address.port}`;
  }

  /** From now on the API answers. */
  lead(api: Express): void {
    this.#api = api;
  }

  /** Closes every connection. May be called more than once. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await new Promise<void>((resolve) => {
      this.http.close(() => resolve());
      this.http.closeAllConnections();
    });
  }
}

/** Under other addresses of loopback the guard would know no name. */
const isLoopback = (address: string): boolean => address === '127.0.0.1' || address === '::1';

/** For service managers and load balancers: no token, and nothing of what the daemon holds. */
function probes(readiness: Readiness): Router {
  const router = express.Router();
  router.get('/livez', (_request, response) => {
    response.set('Cache-Control', 'no-store').json({ status: 'ok' });
  });
  router.get('/readyz', async (_request, response) => {
    await readiness.check();
    response.set('Cache-Control', 'no-store').json({ status: 'ready', notReady: [] });
  });
  router.all(['/livez', '/readyz'], onlyMethods(['get']));
  return router;
}
