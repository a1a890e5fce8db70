import type { Server } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import { asHildaError, HildaError } from '../core/errors.js';
import { withSocketFaults } from '../faults/edges/socket.js';

type Place = Pick<ListenOptions, 'port' | 'host'> | { readonly fd: number };

/** On a port, or on a socket that listens already (`fd`). Throws PORT_IN_USE; USAGE_INVALID for a descriptor that is no socket. */
export function listen(http: Server, where: Place): Promise<void> {
  const asked = 'fd' in where ? 0 : (where.port ?? 0);
  withSocketFaults(http, () => (http.address() as AddressInfo | null)?.port ?? asked);
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => reject(asListenError(error, where)));
    http.listen(where, resolve);
  });
}

function asListenError(cause: NodeJS.ErrnoException, where: Place): HildaError {
  if ('fd' in where) {
    const why = `descriptor ${where.fd} is no listening socket: ${cause.message}`;
    return new HildaError('USAGE_INVALID', why, { cause });
  }
  const { port } = where;
  return cause.code === 'EADDRINUSE'
    ? new HildaError('PORT_IN_USE', `port ${port} is in use`, { cause, details: { port } })
    : asHildaError(cause);
}
