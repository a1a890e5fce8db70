#!/usr/bin/env node
import { systemClock } from '../core/clock.js';
import { runCli } from './run-cli.js';
import { openTerminal } from './terminal/open-terminal.js';

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

const { stdout, stderr, env } = process;
const terminal = openTerminal({ stdout, stderr, env, clock: systemClock, signal: abort.signal });
const exitCode = await runCli(process.argv.slice(2), terminal);
process.stdout.write('', () => process.exit(exitCode));
