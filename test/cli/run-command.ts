import { runCli } from '../../daemon/cli/run-cli.js';
import { systemClock } from '../../daemon/core/clock.js';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A command in this process: a start costs half a second. */
export async function runHere(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  let out = '';
  let err = '';
  const code = await runCli(args, {
    clock: systemClock,
    signal: new AbortController().signal,
    env,
    interactive: false,
    columns: null,
    colours: false,
    out: (text) => {
      out += `${text}\n`;
    },
    note: (text) => {
      err += `${text}\n`;
    },
    status: () => {},
  });
  return { code, out, err };
}

/** A command for the daemon at `url`. */
export const runCommand = (url: string, ...args: string[]): Promise<Ended> =>
  runHere(['--host', url, ...args]);
