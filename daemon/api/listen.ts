import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asHildaError, HildaError } from '../core/errors.js';
import { withSocketFaults } from '../faults/edges/socket.js';

/** Throws PORT_IN_USE. */
export function listen(http: Server, port: number, hostname: string): Promise<void> {
  withSocketFaults(http, () => (http.address() as AddressInfo | null)?.port ?? port);
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
