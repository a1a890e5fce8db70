import type { IncomingMessage } from 'node:http';
import type { Handler } from 'express';
import { type Access, type Caller, localCaller, refusedToken } from '../access/access.js';
import type { AttemptLimit } from '../access/attempt-limit.js';
import { HildaError } from '../core/errors.js';

const callers = new WeakMap<IncomingMessage, Caller>();

/** Who makes a request; a server without access control, as tests of routes use, serves the local user alone. */
export const callerOf = (request: IncomingMessage): Caller => callers.get(request) ?? localCaller;

/** One request, as the log holds it. */
export interface AuditEntry {
  readonly who: string;
  readonly what: string;
  readonly status: number;
}

/** Browsers say where a request comes from: a page of another place may ask nothing, whether it names an origin or not. */
export function checkFetchSite({ headers }: IncomingMessage): void {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new HildaError('ORIGIN_REFUSED', `requests from pages elsewhere (${site}) are not answered`, {
      details: { site },
    });
}

/** Where requests come in. */
export interface Door {
  readonly access: Access | undefined;
  /** Given for a door that is open to the networks: the local user's token is not taken there, and wrong ones are limited. */
  readonly attempts?: AttemptLimit;
}

/** Finds out who asks; undefined where nothing is checked. Throws TOKEN_REFUSED, ATTEMPTS_LIMITED. */
export async function recogniseCaller(
  request: IncomingMessage,
  { access, attempts }: Door,
): Promise<Caller | undefined> {
  if (!access) return undefined;
  const token = tokenOf(request);
  const look = async (): Promise<Caller> => {
    const caller = await access.recognise(token);
    if (attempts && caller.local) throw refusedToken('the token is unknown, revoked or too old');
    return caller;
  };
  // To show none is no attempt.
  const limited = token !== undefined && attempts;
  const caller = await (limited ? attempts.admit(request.socket.remoteAddress ?? '', look) : look());
  callers.set(request, caller);
  return caller;
}

/** Needs no token: the description of the API holds nothing of this daemon. */
export const openPath = '/openapi.json';

/** The handler of plain requests. Each is told once it is answered, refused ones included: writes to `onAudit`, others to `onRead`. */
export const withCaller =
  (
    door: Door,
    { onAudit, onRead }: { onAudit?: (entry: AuditEntry) => void; onRead?: (entry: AuditEntry) => void } = {},
  ): Handler =>
  async (request, response, next) => {
    checkFetchSite(request);
    const isRead = request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS';
    let who = 'nobody known';
    const hears = isRead ? onRead : onAudit;
    if (hears) {
      const what = `${request.method} ${request.originalUrl.split('?')[0]}`;
      response.once('close', () => hears({ who, what, status: response.statusCode }));
    }
    if (request.path !== openPath) who = (await recogniseCaller(request, door))?.name ?? who;
    next();
  };

/** Cookies know no ports: each daemon has its own name. */
const cookieName = ({ headers: { host = '' } }: IncomingMessage): string =>
  `hilda_${/:(\d+)$/.exec(host)?.[1] ?? '80'}`;

function tokenOf(request: IncomingMessage): string | undefined {
  const { authorization, cookie = '' } = request.headers;
  const [, bearer] = /^Bearer +(\S+)$/i.exec(authorization ?? '') ?? [];
  if (authorization !== undefined) return bearer ?? '';
  const name = cookieName(request);
  const pairs = cookie.split(/; */).map((pair) => pair.split('='));
  return pairs.find(([key]) => key === name)?.[1];
}

/** Where the link that `hilda open` makes leads: it gives the page its session, once, and shows it. */
export const openPage =
  (access: Access): Handler =>
  async (request, response) => {
    const { code } = request.query;
    const { token, maxAgeS } = await access.redeem(typeof code === 'string' ? code : '');
    response
      .set('Cache-Control', 'no-store')
      .set(
        'Set-Cookie',
        `${cookieName(request)}=${token}; Max-Age=${maxAgeS}; Path=/; HttpOnly; SameSite=Strict${request.secure ? '; Secure' : ''}`,
      )
      .redirect(303, '/');
  };
