import { type HildaError, toErrorDocument } from '../core/errors.js';
import type { Envelope, Reply } from './messages.js';

/**
 * The loop of a child process: serves one request after the other over IPC, and ends when its parent is gone. `failure` gives
 * what was thrown its code.
 */
export function serveParent<R>(
  serve: (request: R) => Promise<unknown>,
  failure: (thrown: unknown) => HildaError,
): void {
  let queue: Promise<void> = Promise.resolve();
  const answer = async ({ id, request }: Envelope<R>): Promise<void> => {
    let reply: Reply;
    try {
      reply = { id, value: await serve(request) };
    } catch (thrown) {
      const { code, message, hint, details } = toErrorDocument(failure(thrown));
      // Facts alone cross the process boundary.
      reply = { id, error: { code, message, hint, details: JSON.parse(JSON.stringify(details)) } };
    }
    process.send?.(reply);
  };
  process.on('message', (envelope: Envelope<R>) => {
    queue = queue.then(() => answer(envelope));
  });
  process.on('disconnect', () => process.exit(0));
}
