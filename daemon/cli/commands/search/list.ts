import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { formatTime } from '../../format.js';
import { toneOfState } from '../../terminal/layout.js';

export const searchListCommand = (terminal: Terminal): Command =>
  new Command('list').description('every study').action(
    act(terminal, async (context) => {
      const studies = await context.client.studies(context);
      context.answerTable(
        'studies',
        { studies },
        [
          { title: 'STUDY', value: (s) => s.id },
          { title: 'STATE', value: (s) => s.state, tone: toneOfState },
          { title: 'STARTED', value: (s) => formatTime(s.createdMs) },
          { title: 'NAME', value: (s) => s.name },
        ],
        studies,
        'There is no study yet. Run `hilda search start SPEC.yaml`.',
      );
    }),
  );
