import { Command } from 'commander';
import type { Terminal } from '../context.js';
import { searchActionCommand } from './search-action.js';
import { searchExportCommand } from './search-export.js';
import { searchFrontCommand } from './search-front.js';
import { searchGradientCommand } from './search-gradient.js';
import { searchListCommand } from './search-list.js';
import { searchMatrixCommand } from './search-matrix.js';
import { searchShowCommand } from './search-show.js';
import { searchSpecialiseCommand } from './search-specialise.js';
import { searchSplitCommand } from './search-split.js';
import { searchStartCommand } from './search-start.js';
import { searchWinnerCommand } from './search-winner.js';

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
