import { spawn } from 'node:child_process';
import type { CliContext } from '../context.js';

/** How a system shows an address to its user. */
const openers: ReadonlyMap<string, readonly [string, ...string[]]> = new Map([
  ['linux', ['xdg-open']],
  ['darwin', ['open']],
  ['win32', ['cmd', '/c', 'start', '']],
]);

export async function openAction(context: CliContext, { print = false }: { print?: boolean }): Promise<void> {
  const url = await context.client.pageLink(context);
  const opened = !print && !context.json && (await show(url));
  context.answer('open', { url }, () => (opened ? 'The page is open in your browser.' : url));
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
