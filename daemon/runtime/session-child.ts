/**
 * Entry of the child process that hosts onnxruntime sessions. It serves one request after the other over IPC and
 * ends when its parent is gone. It reads the clock itself (the rule of the injected clock stops at this process's
 * door): a timestamp taken anywhere else would contain the IPC.
 */

import type { Envelope, Reply } from './messages.js';
import { runtimeFailure } from './runtime-failure.js';
import { SessionHost } from './session-child-host.js';

const host = new SessionHost();
let queue: Promise<void> = Promise.resolve();

const answer = async ({ id, request }: Envelope): Promise<void> => {
  let reply: Reply;
  try {
    reply = { id, value: await host.serve(request) };
  } catch (thrown) {
    const { code, message, hint, details } = runtimeFailure(thrown);
    // Facts alone cross the process boundary.
    reply = { id, error: { code, message, hint, details: JSON.parse(JSON.stringify(details)) } };
  }
  process.send?.(reply);
};

process.on('message', (envelope: Envelope) => {
  queue = queue.then(() => answer(envelope));
});
process.on('disconnect', () => process.exit(0));
