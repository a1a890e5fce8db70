import { HildaError } from '../core/errors.js';
import type { FailureWords } from './failures/contract.js';
import {
  type ExitMeaning,
  exitMeaning,
  isBeforeItsFirstWord,
  type ProgramEnd,
  toldEnd,
} from './failures/exit-status.js';
import { failureTables } from './failures/registry.js';

/** What an error carries of whom its words accuse: see `suspicionOf` of fleet/. */
export interface Accusation {
  readonly suspect?: 'network' | 'device';
  readonly memory?: true;
}

/**
 * Gives what a runtime threw its stable code. The runtimes have no error classes: their words are all there is, and they
 * prove nothing. The error says whom they accuse; words that no table knows are FAILURE_UNEXPLAINED.
 */
export function runtimeFailure(thrown: unknown): HildaError {
  if (thrown instanceof HildaError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return failed(message, readWords(message), thrown);
}

/** As `runtimeFailure`, of a program that ended: its last words count, then its status or signal. */
export function programFailure(program: string, end: ProgramEnd, words: string): HildaError {
  const text = words.trim();
  const meaning = exitMeaning(end);
  const known = isBeforeItsFirstWord(end) ? meaning : (readWords(text) ?? meaning);
  const last = text.split('\n').at(-1) ?? '';
  return failed(`${program} ${toldEnd(end)}${last === '' ? '' : `: ${last}`}`, known);
}

/** The entry that knows these words; undefined where none does. */
function readWords(text: string): FailureWords | undefined {
  const bare = withoutNames(text);
  return Object.values(failureTables)
    .flat()
    .find(({ words }) => words.test(bare));
}

/** Names of nodes are the network's own, and may be any words. */
const withoutNames = (text: string): string =>
  text.replace(/\b([Nn]ame:?\s*|with name\s*)'[^'\n]*'/g, "$1''").replace(/\bNode ?\([^)\n]*\)/g, 'Node ()');

function failed(message: string, known: ExitMeaning | FailureWords | undefined, cause?: unknown): HildaError {
  const accusation: Accusation = {
    ...(known?.suspect && { suspect: known.suspect }),
    ...(known?.memory && { memory: known.memory }),
  };
  return new HildaError(known?.code ?? 'FAILURE_UNEXPLAINED', message, {
    details: { ...accusation },
    ...(cause !== undefined && { cause }),
  });
}
