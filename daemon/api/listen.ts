import type { Server } from 'node:http';
import { asHildaError, HildaError } from '../core/errors.js';

/** Throws PORT_IN_USE. */
export function listen(http: Server, port: number, hostname: string): Promise<void> {
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
