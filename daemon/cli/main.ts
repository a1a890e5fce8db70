#!/usr/bin/env node
import { systemClock } from '../core/clock.js';
import { printable } from '../core/printable.js';
import { runCli } from './run-cli.js';

// The only place that maps signals and ends the process. A second signal does not wait for a clean end.
const abort = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (abort.signal.aborted) process.exit(130);
    abort.abort(new DOMException(`${name} received`, 'AbortError'));
  });
}
// A reader that closed the pipe early (`hilda devices list | head -1`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const exitCode = await runCli(process.argv.slice(2), {
  clock: systemClock,
  signal: abort.signal,
  env: process.env,
  interactive: process.stderr.isTTY === true,
  out: (text) => void process.stdout.write(`${printable(text)}\n`),
  note: (text) => void process.stderr.write(`${printable(text)}\n`),
});
process.stdout.write('', () => process.exit(exitCode));
