import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { RawData, WebSocket } from 'ws';
import type { Connection } from '../devices/connection.js';
import { withMessageFaults } from '../faults/edges/ws.js';

/** A ws socket, of a server or a client, as the drivers see it. `line` is the stream beneath it, once there is one. */
export function wsConnection(socket: WebSocket, peer: string, line: () => Socket | undefined): Connection {
  let listener: ((message: string | Uint8Array) => void) | null = null;
  let kept: (string | Uint8Array)[] = [];
  let code = 1006;
  socket.on('message', (data: RawData, isBinary: boolean) => {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer);
    const message = isBinary ? new Uint8Array(bytes) : bytes.toString('utf8');
    if (listener) listener(message);
    else kept.push(message);
  });
  // Every error is followed by `close`.
  socket.on('error', () => {});
  socket.once('close', (given) => {
    code = given;
  });
  return withMessageFaults({
    peer,
    send: (message) => {
      if (socket.readyState === socket.OPEN) socket.send(message);
    },
    onMessage: (next) => {
      listener = next;
      const missed = next ? kept : [];
      if (next) kept = [];
      for (const message of missed) listener?.(message);
    },
    onClose: (closed) => {
      if (socket.readyState === socket.CLOSED) queueMicrotask(() => closed(code));
      else socket.once('close', closed);
    },
    close: (code, reason) => socket.close(code, reason),
    drop: () => {
      const stream = line();
      // Or the kernel goes on sending what waits in its buffers, to a peer that has given the connection up.
      if (stream && !(stream instanceof TLSSocket)) stream.resetAndDestroy();
      socket.terminate();
    },
    ping: () => {
      if (socket.readyState === socket.OPEN) socket.ping();
    },
    receivedBytes: () => line()?.bytesRead ?? 0,
  });
}
