import { microseconds, readNumber } from './quantity.js';
import { unreadable } from './report.js';

/**
 * Figures that stand behind a label on a line of their own, e.g. `Min Latency: 0.0958204 s`. A figure that stands twice must
 * be the same. Throws RUNNER_OUTPUT_INVALID for what is no number, has no unit of time, or differs.
 */
export class LabelledFigures {
  readonly #runner: string;
  readonly #lines: readonly string[];
  readonly #output: string;

  constructor(runner: string, lines: readonly string[], output: string) {
    this.#runner = runner;
    this.#lines = lines;
    this.#output = output;
  }

  /** Microseconds; `unit` is that of a form that prints none. Null where no line has one of the labels. */
  timeUs(labels: readonly string[], unit = ''): number | null {
    return this.#one(labels, (rest) => {
      // A figure, a unit, and perhaps the same in another unit in brackets.
      const [, figure = rest, printed = ''] = /^(.*?)\s*([a-zµμ]*)(?:\s*\([^()]*\))?$/iu.exec(rest) ?? [];
      // `nan` and `inf` are letters too.
      const bare = figure === '' || figure === '-' || figure === '+';
      const number = readNumber(bare ? `${figure}${printed}` : figure);
      if ('fault' in number) return number;
      const scale = microseconds(printed || unit);
      if (scale === null)
        return { fault: printed ? `${printed} is no unit of time` : 'it has no unit of time' };
      return { value: number.value * scale };
    });
  }

  /** A whole number, e.g. of runs or bytes. */
  count(labels: readonly string[]): number | null {
    return this.#one(labels, (rest) => {
      const number = readNumber(rest.replace(/(?:\s*bytes)?(?:\s*\([^()]*\))?$/i, ''));
      if ('fault' in number || Number.isInteger(number.value)) return number;
      return { fault: `${rest} is no whole number` };
    });
  }

  #one(labels: readonly string[], read: (rest: string) => ReturnType<typeof readNumber>): number | null {
    let known: number | null = null;
    for (const line of this.#lines) {
      const label = labels.find((one) => line.startsWith(one));
      if (label === undefined) continue;
      const refuse = (why: string): never => {
        throw unreadable(this.#runner, `${JSON.stringify(line)}: ${why}`, this.#output);
      };
      const found = read(line.slice(label.length).trim());
      if ('fault' in found) return refuse(found.fault);
      if (known !== null && known !== found.value) return refuse('another line says otherwise');
      known = found.value;
    }
    return known;
  }
}
