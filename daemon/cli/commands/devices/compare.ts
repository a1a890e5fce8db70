import { Command, InvalidArgumentError } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

function share(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError('It must be above 0 and at most 1.');
  return value;
}

export const devicesCompareCommand = (terminal: Terminal): Command =>
  new Command('compare')
    .description('test whether two devices of one target are equivalent, so that their costs may be pooled')
    .argument('<device>', 'an id')
    .argument('<other>', 'another')
    .option('--margin <share>', 'largest difference that counts as the same', share, 0.05)
    .action(
      act(
        terminal,
        async (context, first: string, second: string, { margin }: { readonly margin: number }) => {
          const a = await resolveId('device', first, context);
          const b = await resolveId('device', second, context);
          const verdict = await context.client.compare(a, b, margin, context);
          const line = (name: 'convolution' | 'transformer'): string => {
            const { ratio, interval } = verdict[name];
            return `${name}: ${b} takes ${ratio.toFixed(4)} times ${a}'s time, 90 % ${interval.map((v) => v.toFixed(4)).join(' to ')}`;
          };
          context.answer('equivalence', { ...verdict }, () =>
            [
              `${verdict.equivalent ? 'equivalent' : 'not shown to be equivalent'} within ${(margin * 100).toFixed(1)} %`,
              line('convolution'),
              line('transformer'),
            ].join('\n'),
          );
        },
      ),
    );
