import { Command } from 'commander';
import type { Terminal } from '../context.js';
import { agentJoinCommand } from './agent-join.js';
import { agentListCommand } from './agent-list.js';
import { agentTokenCommand } from './agent-token.js';

export const agentCommand = (terminal: Terminal): Command =>
  new Command('agent')
    .addCommand(agentTokenCommand(terminal))
    .addCommand(agentJoinCommand(terminal))
    .addCommand(agentListCommand(terminal));
