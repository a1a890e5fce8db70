import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { describeSpecialisation } from '../../describe-specialisation.js';
import { formatTime } from '../../format.js';
import { resolveId } from '../../resolve-id.js';
import { toneOfState } from '../../terminal/layout.js';

export const searchMatrixCommand = (terminal: Terminal): Command =>
  new Command('matrix')
    .description('a specialisation matrix that `search specialise` made, or the list of all')
    .argument('[id]', 'for example specialisation-1')
    .action(
      act(terminal, async (context, id: string | undefined) => {
        if (id !== undefined) {
          const found = await context.client.specialisation(
            await resolveId('specialisation', id, context),
            context,
          );
          context.answer('specialisation', found, () => describeSpecialisation(found, terminal));
          return;
        }
        const specialisations = await context.client.specialisations(context);
        context.answerTable(
          'specialisations',
          { specialisations },
          [
            { title: 'SPECIALISATION', value: (one) => one.id },
            { title: 'STATE', value: (one) => one.state, tone: toneOfState },
            { title: 'STARTED', value: (one) => formatTime(one.createdMs) },
            { title: 'DEVICES', value: (one) => one.columns.map(({ deviceId }) => deviceId).join(' ') },
            { title: 'NAME', value: (one) => one.name },
          ],
          specialisations,
          'There is none yet. Run `hilda search specialise SPEC.yaml --devices A,B`.',
        );
      }),
    );
