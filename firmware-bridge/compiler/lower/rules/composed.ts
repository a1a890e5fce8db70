import type { LoweringRule } from '../lowering.js';
import { argMax } from './arg-max.js';
import { depthToSpace, spaceToDepth } from './blocks.js';
import { extreme } from './extremes.js';
import { functions } from './functions.js';
import { gru, rnn } from './gru.js';
import { logSoftmax } from './log-softmax.js';
import { lstm } from './lstm.js';
import { norm } from './norms.js';
import { prelu } from './prelu.js';
import { globalMax, reduceExtreme } from './reductions.js';
import { variadicSum } from './sums.js';
import { unary } from './unary.js';
import { where } from './where.js';

const each = (names: readonly string[], rule: LoweringRule): [string, LoweringRule][] =>
  names.map((name) => [name, rule]);

/** Rules that compose several steps or need none of the layers: functions, joins, reductions, blocks of pixels. */
export const composedRules: readonly (readonly [string, LoweringRule])[] = [
  ...each([...functions.keys()], unary),
  ...each(['Max', 'Min'], extreme),
  ...each(['Sum', 'Mean'], variadicSum),
  ...each(['PRelu'], prelu),
  ...each(['Where'], where),
  ...each(['LogSoftmax'], logSoftmax),
  ...each(['GlobalMaxPool'], globalMax),
  ...each(['ReduceMax', 'ReduceMin'], reduceExtreme),
  ...each(['ReduceL1', 'ReduceL2', 'ReduceSumSquare'], norm),
  ...each(['ArgMax', 'ArgMin'], argMax),
  ...each(['LSTM'], lstm),
  ...each(['GRU'], gru),
  ...each(['RNN'], rnn),
  ...each(['DepthToSpace'], depthToSpace),
  ...each(['SpaceToDepth'], spaceToDepth),
];
