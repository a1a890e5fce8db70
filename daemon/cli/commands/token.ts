import { Command, InvalidArgumentError, Option } from 'commander';
import { lazily, type Terminal } from '../context.js';

function dayCount(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 0 && days <= 3650) return days;
  throw new InvalidArgumentError('It must be a whole number from 0 to 3650.');
}

export const tokenCommand = (terminal: Terminal): Command =>
  new Command('token')
    .addCommand(
      new Command('create')
        .description('makes a token and prints it this once; programs name it in HILDA_TOKEN')
        .argument('<name>', 'whom it is for')
        .addOption(
          new Option('--scope <scope>', 'what it may do; agent: machines join with it')
            .choices(['read', 'measure', 'admin', 'page', 'agent'])
            .default('measure'),
        )
        .option('--days <number>', 'how long it lasts; 0: for good', dayCount, 90)
        .action(lazily(terminal, async () => (await import('../actions/token.js')).createToken)),
    )
    .addCommand(
      new Command('list')
        .description('tokens and sessions of pages that have not run out')
        .action(lazily(terminal, async () => (await import('../actions/token.js')).listTokens)),
    )
    .addCommand(
      new Command('revoke')
        .description('ends a token or a session for good')
        .argument('<id>', 'as `hilda token list` names it')
        .action(lazily(terminal, async () => (await import('../actions/token.js')).revokeToken)),
    );
