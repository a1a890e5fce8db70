import type { Logger } from 'pino';
import { parseFaultPlan } from '../faults/fault-plan.js';
import { Switchboard } from '../faults/switchboard.js';
import { readSpec } from './read-input.js';

/**
 * The switchboard of a file, YAML or JSON, which says in the log that it is there and every strike. Throws NOT_FOUND and
 * SPEC_INVALID.
 */
export async function readFaults(path: string, log: Pick<Logger, 'warn'>): Promise<Switchboard> {
  const board = new Switchboard(parseFaultPlan(await readSpec(path)), {
    onStrike: (struck) => log.warn({ fault: struck }, 'an injected fault strikes'),
  });
  log.warn({ path, rules: board.rules }, 'FAULTS ARE INJECTED ON PURPOSE (HILDA_FAULTS)');
  return board;
}
