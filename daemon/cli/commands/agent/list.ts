import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { formatTime } from '../../format.js';
import { toneOfState } from '../../terminal/layout.js';

export const agentListCommand = (terminal: Terminal): Command =>
  new Command('list').description('agents and pages that ever joined').action(
    act(terminal, async (context) => {
      const joiners = await context.client.joiners(context);
      context.answerTable(
        'joiners',
        { joiners },
        [
          { title: 'JOINER', value: (j) => j.id },
          { title: 'KIND', value: (j) => j.kind },
          { title: 'KEY', value: (j) => j.state, tone: toneOfState },
          { title: 'SINCE', value: (j) => formatTime(j.createdMs) },
          { title: 'NAME', value: (j) => j.label },
        ],
        joiners,
        'Nobody joined yet. See `hilda devices pair` and `hilda agent token`.',
      );
    }),
  );
