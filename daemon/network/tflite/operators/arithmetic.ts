import { type Rule, type Rules, rule, type Step } from '../step.js';

/** Two operands that broadcast; `activated`: the options' first field is an activation. */
function binary(op: string, activated: boolean) {
  return (step: Step): void => {
    const [a, b] = [step.read(0), step.read(1)];
    if (step.conversion.dtype(a) !== step.conversion.dtype(b))
      step.invalid(`its inputs are of ${step.conversion.dtype(a)} and ${step.conversion.dtype(b)}`);
    step.give(step.emit(op, [a, b]), { activation: activated ? step.byteOption(0) : 0 });
  };
}

function squaredDifference(step: Step): void {
  const difference = step.emit('Sub', [step.read(0), step.read(1)]);
  step.give(step.emit('Mul', [difference, difference]));
}

function addMany(step: Step): void {
  const values = step.operator.inputs.map((_, i) => step.float(i));
  step.give(values.reduce((sum, value) => step.emit('Add', [sum, value])));
}

const unary =
  (...ops: string[]) =>
  (step: Step): void =>
    step.give(ops.reduce((value, op) => step.emit(op, [value]), step.float(0)));

/** Also of integers without scales. */
const anyUnary = (op: string) => (step: Step) => step.give(step.emit(op, [step.read(0)]));

function square(step: Step): void {
  const x = step.read(0);
  step.give(step.emit('Mul', [x, x]));
}

function comparison(op: string, negated = false) {
  return (step: Step): void => {
    const [a, b] = [step.read(0), step.read(1)];
    if (step.conversion.dtype(a) !== step.conversion.dtype(b))
      step.invalid(`its inputs are of ${step.conversion.dtype(a)} and ${step.conversion.dtype(b)}`);
    const y = step.emit(op, [a, b]);
    step.give(negated ? step.emit('Not', [y]) : y);
  };
}

function logical(op: string, inputs: number): (step: Step) => void {
  return (step) => {
    const values = Array.from({ length: inputs }, (_, i) => step.stored(i));
    const odd = values.find((value) => step.conversion.dtype(value) !== 'bool');
    if (odd !== undefined) step.invalid(`an input is of ${step.conversion.dtype(odd)}, not bool`);
    step.give(step.emit(op, values));
  };
}

/** The second field says how a 16-bit sum was scaled, which its scales say too. */
const activatedSum = (op: string, newest: number): Rule =>
  rule(op === 'Add' ? 'Add' : 'Sub', 2, newest, [2, 2], binary(op, true));

export const arithmeticRules: Rules = {
  ADD: activatedSum('Add', 5),
  SUB: activatedSum('Sub', 5),
  MUL: rule('Mul', 1, 7, [2, 2], binary('Mul', true)),
  DIV: rule('Div', 1, 2, [2, 2], binary('Div', true)),
  MAXIMUM: rule('MaximumMinimum', 0, 4, [2, 2], binary('Max', false)),
  MINIMUM: rule('MaximumMinimum', 0, 4, [2, 2], binary('Min', false)),
  POW: rule('Pow', 0, 1, [2, 2], binary('Pow', false)),
  SQUARED_DIFFERENCE: rule('SquaredDifference', 0, 2, [2, 2], squaredDifference),
  ADD_N: rule('AddN', 0, 1, [1, Number.POSITIVE_INFINITY], addMany),
  EXP: rule('Exp', 0, 2, [1, 1], unary('Exp')),
  LOG: rule('none', 0, 2, [1, 1], unary('Log')),
  SQRT: rule('none', 0, 1, [1, 1], unary('Sqrt')),
  RSQRT: rule('none', 0, 3, [1, 1], unary('Sqrt', 'Reciprocal')),
  SQUARE: rule('Square', 0, 1, [1, 1], square),
  ABS: rule('Abs', 0, 5, [1, 1], anyUnary('Abs')),
  NEG: rule('Neg', 0, 1, [1, 1], anyUnary('Neg')),
  SIGN: rule('Sign', 0, 2, [1, 1], anyUnary('Sign')),
  FLOOR: rule('none', 0, 1, [1, 1], unary('Floor')),
  CEIL: rule('none', 0, 1, [1, 1], unary('Ceil')),
  ROUND: rule('none', 0, 1, [1, 1], unary('Round')),
  SIN: rule('none', 0, 1, [1, 1], unary('Sin')),
  COS: rule('Cos', 0, 1, [1, 1], unary('Cos')),
  EQUAL: rule('Equal', 0, 4, [2, 2], comparison('Equal')),
  NOT_EQUAL: rule('NotEqual', 0, 3, [2, 2], comparison('Equal', true)),
  LESS: rule('Less', 0, 3, [2, 2], comparison('Less')),
  LESS_EQUAL: rule('LessEqual', 0, 3, [2, 2], comparison('LessOrEqual')),
  GREATER: rule('Greater', 0, 3, [2, 2], comparison('Greater')),
  GREATER_EQUAL: rule('GreaterEqual', 0, 3, [2, 2], comparison('GreaterOrEqual')),
  LOGICAL_AND: rule('LogicalAnd', 0, 1, [2, 2], logical('And', 2)),
  LOGICAL_OR: rule('LogicalOr', 0, 1, [2, 2], logical('Or', 2)),
  LOGICAL_NOT: rule('LogicalNot', 0, 1, [1, 1], logical('Not', 1)),
};
