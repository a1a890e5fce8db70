import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { switchboard } from '../present.js';
import { type Strike, type Switchboard, struckBytes } from '../switchboard.js';

/**
 * Of a server's sockets: `accept PORT` fails with a reset; what is written, `send PORT`, is lost with its connection (`drop`), is
 * late, changed, or cut, after which the connection ends. The bytes of TLS pass below and are spared.
 */
export function withSocketFaults(server: Server, port: () => number): void {
  const board = switchboard();
  if (!board) return;
  server.on('connection', (socket: Socket) => {
    if (board.strike('socket', `accept ${port()}`, ['fail'])) return void socket.resetAndDestroy();
    strikeWrites(socket, `send ${port()}`, board);
  });
}

/** A socket of ours to another program: `connect NAME` fails, `send NAME` as above. */
export function dialledSocket(socket: Socket, name: string): Socket {
  const board = switchboard();
  if (!board) return socket;
  if (board.strike('socket', `connect ${name}`, ['fail']))
    socket.destroy(Object.assign(new Error('an injected fault'), { code: 'ECONNREFUSED' }));
  else strikeWrites(socket, `send ${name}`, board);
  return socket;
}

type Written = (error?: Error | null) => void;

function strikeWrites(socket: Socket, place: string, board: Switchboard): void {
  const plain = { write: socket.write.bind(socket), end: socket.end.bind(socket) };
  let [order, waiting] = [Promise.resolve(), 0];
  const later = (ms: number, act: () => void): void => {
    waiting++;
    order = order
      .then(() => (ms > 0 ? board.clock.sleep(ms) : undefined))
      .then(() => {
        waiting--;
        if (!socket.destroyed) act();
      });
  };
  const write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8';
    const written = rest.find((one): one is Written => typeof one === 'function');
    const strike = board.strike('socket', place, ['drop', 'delay', 'truncate', 'corrupt']);
    if (!strike && waiting === 0) return plain.write(chunk, encoding, written);
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    later(strike?.action === 'delay' ? strike.ms : 0, () => arrive(bytes, strike, written));
    return true;
  };
  const arrive = (bytes: Uint8Array, strike: Strike | null, written?: Written): void => {
    if (strike?.action === 'drop') return void socket.resetAndDestroy();
    if (strike?.action === 'truncate') return void plain.end(struckBytes(bytes, strike));
    plain.write(strike?.action === 'corrupt' ? struckBytes(bytes, strike) : bytes, written);
  };
  const end = (...given: unknown[]): Socket => {
    const [chunk, ...rest] = given;
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) write(chunk, ...rest);
    if (waiting === 0) plain.end();
    else later(0, () => void plain.end());
    return socket;
  };
  Object.assign(socket, { write, end });
}
