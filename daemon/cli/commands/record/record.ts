import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';

export const recordCommand = (terminal: Terminal): Command =>
  new Command('record').addCommand(
    new Command('export')
      .description('write the journal of a study or of a benchmark run, for `hilda replay`')
      .argument('<id>', 'a study such as study-3, or the number of a run')
      .requiredOption('--out <file>', 'where to')
      .action(
        lazily(terminal, async () => (await import('../../actions/record/export-journal.js')).exportJournal),
      ),
  );
