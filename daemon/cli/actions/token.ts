import type { CliContext } from '../context.js';

type Token = Awaited<ReturnType<CliContext['client']['tokens']>>[number];

const ends = ({ expiresMs }: Token): string =>
  expiresMs === null ? 'never' : new Date(expiresMs).toISOString().slice(0, 10);

export async function createToken(
  context: CliContext,
  name: string,
  { scope, days }: { readonly scope: Token['scope']; readonly days: number },
): Promise<void> {
  const request = { name, scope, days: days === 0 ? null : days };
  const made = await context.client.createToken(request, context);
  context.answer('token', made, () => `${made.token}\n${made.id}: may ${made.scope}, ends ${ends(made)}`);
}

export async function listTokens(context: CliContext): Promise<void> {
  const tokens = await context.client.tokens(context);
  context.answerTable<Token>(
    'tokens',
    { tokens },
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'NAME', value: ({ name }) => name },
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'SCOPE', value: ({ scope }) => scope },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'ENDS', value: ends },
    ],
    tokens,
    'No tokens.',
  );
}

export async function revokeToken(context: CliContext, id: string): Promise<void> {
  const revoked = await context.client.revokeToken(id, context);
  context.answer('token', revoked, () => `revoked  ${revoked.id} (${revoked.name})`);
}
