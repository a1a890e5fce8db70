import { switchboard } from '../present.js';
import { struckText } from '../switchboard.js';

/** A program that is not there: what `spawn` makes of it is what a system out of processes makes of any. */
const nothing = '/nonexistent/hilda-injected-fault';

/** The command line to start in place of the given one: `start NAME` may fail. */
export function startedCommand<Line extends readonly [string, ...string[]]>(
  name: string,
  line: Line,
): Line | readonly [string] {
  return switchboard()?.strike('child', `start ${name}`, ['fail']) ? [nothing] : line;
}

/**
 * Before a child is asked, `ask NAME OPERATION`: it may be late. Answers whether the child dies instead of answering (`drop`).
 */
export async function askedChild(place: string): Promise<boolean> {
  const board = switchboard();
  const strike = board?.strike('child', `ask ${place}`, ['drop', 'delay']);
  if (!board || !strike) return false;
  if (strike.action === 'drop') return true;
  await board.clock.sleep(strike.ms);
  return false;
}

/** What a program printed, `output NAME`: cut or changed. */
export function printedText(name: string, text: string): string {
  const strike = switchboard()?.strike('child', `output ${name}`, ['truncate', 'corrupt']);
  return strike ? struckText(text, strike) : text;
}
