import { Command } from 'commander';
import type { Terminal } from '../../context.js';
import { agentJoinCommand } from './join.js';
import { agentListCommand } from './list.js';
import { agentTokenCommand } from './token.js';

export const agentCommand = (terminal: Terminal): Command =>
  new Command('agent')
    .addCommand(agentTokenCommand(terminal))
    .addCommand(agentJoinCommand(terminal))
    .addCommand(agentListCommand(terminal));
