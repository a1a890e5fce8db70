import type { Command } from 'commander';
import type { DaemonClient } from '../api/client.js';
import { HildaError } from '../core/errors.js';
import { type Column, formatTable } from './terminal/table.js';
import type { Terminal } from './terminal/terminal.js';
import { loadWidths } from './terminal/text-width.js';

export type { Terminal } from './terminal/terminal.js';

export const defaultPort = 4380;

interface GlobalOptions {
  readonly json?: boolean;
  readonly host?: string;
}

/** One run of one command: global options, the daemon it speaks to, and how it answers. */
export class CliContext {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly client: DaemonClient;

  constructor(terminal: Terminal, json: boolean, client: DaemonClient) {
    this.terminal = terminal;
    this.json = json;
    this.client = client;
  }

  get signal(): AbortSignal {
    return this.terminal.signal;
  }

  /** The command's one answer: a JSON document whose `schema` names its shape and version, or text for people. */
  answer(name: string, data: Readonly<Record<string, unknown>>, text: () => string): void {
    this.terminal.out(this.json ? JSON.stringify({ schema: `hilda.${name}.v1`, ...data }) : text());
  }

  answerTable<Row>(
    name: string,
    data: Readonly<Record<string, unknown>>,
    columns: readonly Column<Row>[],
    rows: readonly Row[],
    none: string,
  ): void {
    this.answer(name, data, () => (rows.length === 0 ? none : formatTable(columns, rows, this.terminal)));
  }
}

function address(host: string): string {
  const text = host.includes('://') ? host : `http://${host}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.origin;
  throw new HildaError('USAGE_INVALID', `${host} is no address of a daemon`, {
    hint: `For example: http://127.0.0.1:${defaultPort}`,
  });
}

/** What a command does once its arguments are read. */
export type Action<Args extends unknown[]> = (context: CliContext, ...args: Args) => Promise<void>;

/** A subcommand's handler, for an action that needs little more than the daemon. */
export const act = <Args extends unknown[]>(terminal: Terminal, action: Action<Args>) =>
  lazily(terminal, async () => action);

/** A subcommand's handler: `load` brings the action in when the command runs. Its help needs no implementation. */
export const lazily =
  <Args extends unknown[]>(terminal: Terminal, load: () => Promise<Action<Args>>) =>
  async (...args: unknown[]): Promise<void> => {
    const { json = false, host } = (args.at(-1) as Command).optsWithGlobals<GlobalOptions>();
    const base = address(host ?? terminal.env.HILDA_HOST ?? `http://127.0.0.1:${defaultPort}`);
    const [{ DaemonClient }, action] = await Promise.all([import('../api/client.js'), load(), loadWidths()]);
    const context = new CliContext(terminal, json, new DaemonClient(base));
    await action(context, ...(args.slice(0, -1) as Args));
  };
