import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { HildaError } from '../core/errors.js';
import { isAnswered } from './answer-early.js';
import { toProblem } from './problem.js';
import { refuseUpgrade } from './upgrades.js';

/** Requests that never reach a route, since Node could not read them, get a problem document too. */
export function answerParseErrors(http: Server): void {
  http.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // Gone already, or an answer has begun.
    if (error.code === 'ECONNRESET' || !socket.writable || isAnswered(socket)) return void socket.destroy();
    refuseUpgrade(socket, asRequestError(error));
  });
  http.on('checkExpectation', (request, response) => {
    const error = new HildaError('REQUEST_INVALID', `Expect: ${request.headers.expect} cannot be met`);
    const body = JSON.stringify(toProblem(error));
    const headers = { 'Content-Type': 'application/problem+json', 'Content-Length': Buffer.byteLength(body) };
    response.writeHead(error.httpStatus, { Connection: 'close', ...headers }).end(body);
  });
}

function asRequestError(error: NodeJS.ErrnoException): HildaError {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new HildaError('HEADERS_TOO_LARGE', 'the address and headers of the request are too large');
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new HildaError('REQUEST_TIMEOUT', 'the request did not arrive in time');
  return new HildaError('REQUEST_INVALID', `this is not HTTP: ${error.code ?? 'unreadable'}`);
}
