import { HildaError } from '../../core/errors.js';
import { byOperatorType } from '../../predict/features/by-type.js';
import { cellOperators } from './nasbench/cell-execution.js';
import { CellTableSpace } from './nasbench/table.js';
import { ofaDecisions, ofaOperators, readOfa } from './ofa/mobilenet.js';
import type { PublishedSpaceName } from './published-space-names.js';

type Views = Readonly<Record<string, ReadonlyMap<string, number>>>;

/** A published space whose tables people bring: which columns tell the architecture, and what is read from them. */
export interface PublishedSpace {
  readonly columns: readonly string[];
  /** Throws ARCHITECTURE_INVALID, also for a member that does nothing. */
  views(cells: readonly string[]): Views;
}

const cellSpace = new CellTableSpace('nb201');

/** Six digits, or NAS-Bench-201's own string `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`. */
function readCell(text: string): number[] {
  if (/^[0-4]{6}$/.test(text)) return [...text].map(Number);
  const names = [...text.matchAll(/([a-z_0-9]+)~\d/g)].map((match) => match[1] as string);
  const ops = names.map((name) => cellOperators.indexOf(name as (typeof cellOperators)[number]));
  if (ops.length !== 6 || ops.includes(-1)) {
    throw new HildaError('ARCHITECTURE_INVALID', `${text} is no cell of NAS-Bench-201`, {
      hint: 'Six digits (0 none, 1 skip, 2 1x1, 3 3x3, 4 pool), or its |op~0|+... string.',
    });
  }
  return ops;
}

export const publishedSpaces: Readonly<Record<PublishedSpaceName, PublishedSpace>> = {
  nb201: {
    columns: ['ops'],
    views: ([cell]) => cellSpace.views(readCell(cell as string)),
  },
  'ofa-mobilenet-v3': {
    columns: ['ks', 'e', 'd', 'r'],
    views: ([kernels, expansions, depths, resolution]) => {
      const architecture = readOfa(
        kernels as string,
        expansions as string,
        depths as string,
        resolution as string,
      );
      const operators = ofaOperators(architecture);
      return { types: byOperatorType(operators), decisions: ofaDecisions(architecture) };
    },
  },
};
