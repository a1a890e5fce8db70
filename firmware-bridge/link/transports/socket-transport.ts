import { connect } from 'node:net';
import { HildaError } from '../../../daemon/core/errors.js';
import type { Transport } from './transport.js';

/** A board behind a TCP serial bridge or an emulator's socket. Throws DEVICE_FAILED when nobody listens. */
export async function openSocket(address: {
  readonly host: string;
  readonly port: number;
}): Promise<Transport> {
  const name = `${address.host}:${address.port}`;
  const socket = connect({ ...address, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) =>
      reject(new HildaError('DEVICE_FAILED', `no board answers at ${name}: ${cause.message}`, { cause })),
    );
  });
  let closed = false;
  return {
    name,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (cause) =>
          cause
            ? reject(
                new HildaError('DEVICE_FAILED', `the connection to ${name} is gone: ${cause.message}`, {
                  cause,
                }),
              )
            : resolve(),
        );
      }),
    onBytes: (listener) => {
      socket.removeAllListeners('data');
      socket.on('data', listener);
    },
    onClose: (listener) => {
      socket.removeAllListeners('close');
      socket.on('error', () => {});
      socket.on('close', () => {
        if (!closed) listener('the connection closed');
      });
    },
    close: async () => {
      closed = true;
      socket.destroy();
    },
  };
}
