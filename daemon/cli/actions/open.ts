import { spawn } from 'node:child_process';
import { HildaError } from '../../core/errors.js';
import type { CliContext } from '../context.js';

/** How a system shows an address to its user. */
const openers: ReadonlyMap<string, readonly [string, ...string[]]> = new Map([
  ['linux', ['xdg-open']],
  ['darwin', ['open']],
  ['win32', ['cmd', '/c', 'start', '']],
]);

export async function openAction(
  context: CliContext,
  { print = false, lan = false }: { print?: boolean; lan?: boolean },
): Promise<void> {
  const { url, elsewhere } = await context.client.pageLink(context);
  const opened = !print && !lan && !context.json && (await show(url));
  if (lan && elsewhere.length === 0)
    throw new HildaError('STATE_CONFLICT', 'the daemon serves the page to its own machine alone', {
      hint: 'Start it with --lan --lan-api.',
    });
  const links = lan ? elsewhere.join('\n') : url;
  context.answer('open', { url, elsewhere }, () => (opened ? 'The page is open in your browser.' : links));
}

/** Whether a program took the address; where none does, the user opens it. */
function show(url: string): Promise<boolean> {
  const [program, ...args] = openers.get(process.platform) ?? ['xdg-open'];
  return new Promise((resolve) => {
    const child = spawn(program, [...args, url], { stdio: 'ignore', detached: true });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
    child.unref();
  });
}
