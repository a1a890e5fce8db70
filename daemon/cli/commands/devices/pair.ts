import { Command } from 'commander';
import { HildaError } from '../../../core/errors.js';
import { act, type CliContext, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

interface Options {
  readonly wait: boolean;
  readonly as?: string;
}

const pollMs = 500;

export const devicesPairCommand = (terminal: Terminal): Command =>
  new Command('pair')
    .description('let a phone or browser join: open the address or scan the code, nothing to install')
    .option('--no-wait', 'do not wait until it joined')
    .option('--as <device>', 'it joined before and lost its key: it comes back as that device')
    .action(act(terminal, pair));

async function pair(context: CliContext, { wait, as }: Options): Promise<void> {
  const { client, terminal } = context;
  const back = as === undefined ? {} : { as: await resolveId('joiner', as, context) };
  const invitation = await client.invite('page', { signal: context.signal, ...back });
  const [best] = invitation.addresses;
  if (!best) throw new HildaError('STATE_CONFLICT', 'the daemon has no address to join at');
  const { renderUnicodeCompact } = await import('uqr');
  const text = (): string =>
    [
      renderUnicodeCompact(best.url),
      ...invitation.addresses.map(({ url, note }) => `${url}\n  ${note}`),
      ...(invitation.addresses.some(({ url }) => !isLoopback(url))
        ? []
        : [
            'Phones on Wi-Fi: start the daemon with `hilda up --lan`. Phones on USB join by themselves (adb).',
          ]),
      `For one phone, until ${new Date(invitation.expiresMs).toLocaleTimeString()}.`,
    ].join('\n');
  if (!wait) return context.answer('invitation', { ...invitation }, text);
  // With --json the document is the joiner's; who scripts this and wants the address says --no-wait.
  terminal.note(text());
  const joiner = await joined(context, invitation.pairing, invitation.expiresMs);
  context.answer('joiner', { joiner }, () => `${joiner.label} joined as ${joiner.id}`);
}

async function joined({ client, terminal, signal }: CliContext, pairing: string, expiresMs: number) {
  while (terminal.clock.nowMs() < expiresMs) {
    const found = (await client.joiners({ signal })).find((joiner) => joiner.pairing === pairing);
    if (found) return found;
    await terminal.clock.sleep(pollMs, { signal });
  }
  throw new HildaError('PAIRING_REFUSED', 'nobody joined in time');
}

const isLoopback = (url: string): boolean => /^https?:\/\/(127\.|localhost|\[::1\])/.test(url);
