import { Command } from 'commander';
import type { Terminal } from '../../context.js';
import { searchActionCommand } from './action.js';
import { searchExportCommand } from './export.js';
import { searchFrontCommand } from './front.js';
import { searchGradientCommand } from './gradient.js';
import { searchListCommand } from './list.js';
import { searchMatrixCommand } from './matrix.js';
import { searchShowCommand } from './show.js';
import { searchSpecialiseCommand } from './specialise.js';
import { searchSplitCommand } from './split.js';
import { searchStartCommand } from './start.js';
import { searchWinnerCommand } from './winner.js';

export const searchCommand = (terminal: Terminal): Command =>
  new Command('search')
    .addCommand(searchStartCommand(terminal))
    .addCommand(searchSpecialiseCommand(terminal))
    .addCommand(searchMatrixCommand(terminal))
    .addCommand(searchSplitCommand(terminal))
    .addCommand(searchGradientCommand(terminal))
    .addCommand(searchListCommand(terminal))
    .addCommand(searchShowCommand(terminal))
    .addCommand(searchFrontCommand(terminal))
    .addCommand(searchWinnerCommand(terminal))
    .addCommand(searchActionCommand(terminal, 'pause', 'stop asking for now'))
    .addCommand(
      searchActionCommand(
        terminal,
        'resume',
        'go on with a paused or failed study, or measure what devices of a completed one missed',
      ),
    )
    .addCommand(searchActionCommand(terminal, 'stop', 'end a study for good; its trials and front stay'))
    .addCommand(searchExportCommand(terminal));
