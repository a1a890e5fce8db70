import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Express, type Handler } from 'express';
import { asHildaError, HildaError } from '../core/errors.js';
import { EventChannel } from './event-channel.js';
import { checkHostAndOrigin } from './host-guard.js';
import { Jobs } from './jobs.js';
import { openApiDocument } from './openapi.js';
import { securityHeaders, servePage } from './page.js';
import { toProblem, toRequestError } from './problem.js';
import { mountRoutes } from './route.js';
import { routes } from './routes/index.js';
import type { DaemonServices } from './services.js';

export interface ApiServerOptions {
  /** 0 lets the system choose. */
  readonly port: number;
  /** Loopback only: there is no authentication yet. */
  readonly hostname?: '127.0.0.1' | '::1';
  /** The built dashboard; left out where none is served. */
  readonly dashboardDir?: string;
  /** Hears of defects and of requests refused with a status of 500 and above. */
  readonly onError?: (error: HildaError, request: string) => void;
}

/** REST under /v1, the ws channel /v1/ws and the page at /, on one port. */
export class ApiServer {
  readonly #services: DaemonServices;
  readonly #options: ApiServerOptions;
  readonly #jobs = new Jobs();
  readonly #stopping = new AbortController();
  readonly #channel: EventChannel;
  #http: Server | undefined;

  constructor(services: DaemonServices, options: ApiServerOptions) {
    this.#services = services;
    this.#options = options;
    this.#channel = new EventChannel(services);
  }

  /** Listens; answers with the address to open. Throws PORT_IN_USE. */
  async start(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { port, hostname = '127.0.0.1' } = this.#options;
    const http = createServer(this.#app());
    this.#http = http;
    await listen(http, port, hostname);
    this.#channel.start(http, AbortSignal.any([signal, this.#stopping.signal]));
    const address = http.address() as AddressInfo;
    return `http://${hostname === '::1' ? '[::1]' : hostname}:${address.port}`;
  }

  /** Ends running requests and jobs, then the connections. May be called more than once. */
  async stop(): Promise<void> {
    this.#stopping.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await this.#jobs.stop();
    await this.#channel.stop();
    const http = this.#http;
    this.#http = undefined;
    if (!http) return;
    await new Promise<void>((resolve) => {
      http.close(() => resolve());
      http.closeAllConnections();
    });
  }

  #app(): Express {
    const { version } = this.#services;
    const app = express();
    app.disable('x-powered-by');
    app.set('query parser', 'simple');
    app.use(guard, securityHeaders);
    app.get('/v1/openapi.json', (_request, response) => void response.json(openApiDocument(routes, version)));
    app.use('/v1', noStore, mountRoutes(routes, this.#services, this.#jobs, this.#stopping.signal));
    if (this.#options.dashboardDir) app.use(servePage(this.#options.dashboardDir));
    app.use((request) => {
      throw new HildaError('NOT_FOUND', `nothing answers ${request.method} ${request.path}`, {
        hint: 'Look at /v1/openapi.json.',
      });
    });
    app.use(this.#problems);
    return app;
  }

  readonly #problems: ErrorRequestHandler = (thrown, request, response, next) => {
    const error = toRequestError(thrown);
    if (error.httpStatus >= 500) this.#options.onError?.(error, `${request.method} ${request.path}`);
    if (response.headersSent) return next(error);
    response
      .status(error.httpStatus)
      .type('application/problem+json')
      .send(JSON.stringify(toProblem(error)));
  };
}

const guard: Handler = (request, _response, next) => {
  checkHostAndOrigin(request);
  next();
};

const noStore: Handler = (_request, response, next) => {
  response.set('Cache-Control', 'no-store');
  next();
};

function listen(http: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new HildaError('PORT_IN_USE', `port ${port} is in use`, { cause: error, details: { port } })
          : asHildaError(error),
      );
    });
    http.listen(port, hostname, resolve);
  });
}
