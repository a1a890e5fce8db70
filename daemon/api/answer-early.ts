import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Response } from 'express';
import { closeInTime } from './close-in-time.js';

/** A body of this size is on its way in any case: the connection stays open for the next request. */
const smallBytes = 64 * 1024;
/** What is thrown away after an answer before the connection ends. */
const mostThrownBytes = 16 * 2 ** 20;

const answered = new WeakSet<Duplex>();

/** Whether a connection has its answer, and what it still sends is of no account. */
export const isAnswered = (socket: Duplex): boolean => answered.has(socket);

/** Whether much of a request may still come. */
export function isUnread({ complete, headers }: IncomingMessage): boolean {
  if (complete) return false;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > smallBytes;
}

/**
 * Answers a request whose body is not read, and ends the connection. Some of what still comes is thrown away first: a
 * connection that is closed with bytes unread is reset, and the client may lose the answer.
 */
export function answerEarly(request: IncomingMessage, response: Response, body: string): void {
  response.set({ Connection: 'close', 'Content-Length': String(Buffer.byteLength(body)) });
  response.write(body);
  answered.add(request.socket);
  closeInTime(request.socket);
  let left = mostThrownBytes;
  const end = (): void => {
    request.removeAllListeners('data');
    response.end();
  };
  request.on('data', (piece: Buffer) => {
    left -= piece.byteLength;
    if (left < 0) end();
  });
  request.once('end', end);
  request.once('close', end);
  request.resume();
}
