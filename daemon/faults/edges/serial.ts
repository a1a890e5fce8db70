import { HildaError } from '../../core/errors.js';
import { switchboard } from '../present.js';
import { struckBytes } from '../switchboard.js';

/** A line to a board, as far as faults see it. */
interface ByteLine {
  readonly name: string;
  write(bytes: Uint8Array): Promise<void>;
  onBytes(listener: (bytes: Uint8Array) => void): void;
}

const possible = ['drop', 'delay', 'truncate', 'corrupt', 'fail'] as const;

/** Opens a line: `open NAME` may fail, `write NAME` and `read NAME` may do all. Throws what opening throws, and DEVICE_FAILED. */
export async function withSerialFaults<Line extends ByteLine>(
  name: string,
  open: () => Promise<Line>,
): Promise<Line> {
  const board = switchboard();
  if (!board) return open();
  if (board.strike('serial', `open ${name}`, ['fail'])) throw failed(name);
  const line = await open();
  let [broken, heard] = [false, Promise.resolve()];
  return {
    ...line,
    write: async (bytes) => {
      const strike = board.strike('serial', `write ${name}`, possible);
      if (strike?.action === 'fail') broken = true;
      if (broken) throw failed(name);
      if (!strike) return line.write(bytes);
      if (strike.action === 'drop') return;
      if (strike.action !== 'delay') return line.write(struckBytes(bytes, strike));
      await board.clock.sleep(strike.ms);
      return line.write(bytes);
    },
    onBytes: (listener) =>
      line.onBytes((bytes) => {
        const strike = board.strike('serial', `read ${name}`, ['drop', 'delay', 'truncate', 'corrupt']);
        if (strike?.action === 'drop' || broken) return;
        const late = strike?.action === 'delay';
        const arrived = strike && !late ? struckBytes(bytes, strike) : bytes;
        // None overtakes another.
        heard = heard.then(() => (late ? board.clock.sleep(strike.ms) : undefined));
        void heard.then(() => listener(arrived));
      }),
  };
}

const failed = (name: string): HildaError =>
  new HildaError('DEVICE_FAILED', `the line ${name} is gone (an injected fault)`);
