export { type CompilerBoard, linearCosts } from './board.js';
export { countRight, quantisedInput } from './classify.js';
export { type Calibration, type CompiledNetwork, type CompileOptions, compile } from './compile.js';
export { weightPool } from './encode/pool.js';
export { loweredOperators } from './lower/lower.js';
export type { Port } from './lower/operators.js';
export { quantise } from './quantise/quantisation.js';
export { Reference, runReference } from './reference/reference.js';
export { allTricks, noTricks, type Tricks } from './tricks/choose.js';
