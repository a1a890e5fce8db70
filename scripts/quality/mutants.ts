import ts from 'typescript';

/** One small change of a program, which a good test should notice. */
export interface Mutant {
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const K = ts.SyntaxKind;
/** What each operator becomes, as Stryker's mutators have it. */
const swaps = new Map<ts.SyntaxKind, readonly string[]>([
  [K.PlusToken, ['-']],
  [K.MinusToken, ['+']],
  [K.AsteriskToken, ['/']],
  [K.SlashToken, ['*']],
  [K.PercentToken, ['*']],
  [K.LessThanToken, ['<=', '>=']],
  [K.LessThanEqualsToken, ['<', '>']],
  [K.GreaterThanToken, ['>=', '<=']],
  [K.GreaterThanEqualsToken, ['>', '<']],
  [K.EqualsEqualsEqualsToken, ['!==']],
  [K.ExclamationEqualsEqualsToken, ['===']],
  [K.AmpersandAmpersandToken, ['||']],
  [K.BarBarToken, ['&&']],
  [K.QuestionQuestionToken, ['&&']],
  [K.PlusEqualsToken, ['-=']],
  [K.MinusEqualsToken, ['+=']],
]);
/** Methods whose other half means the opposite. */
const methods = new Map([
  ['some', 'every'],
  ['every', 'some'],
  ['min', 'max'],
  ['max', 'min'],
  ['startsWith', 'endsWith'],
  ['endsWith', 'startsWith'],
  ['floor', 'ceil'],
  ['ceil', 'floor'],
]);

/**
 * Every mutant of a JavaScript file. Texts, and errors' words and details, stay: no test should depend on them. So do
 * imports, type-like constants and what only a compiler wrote.
 */
export function mutantsOf(source: string): Mutant[] {
  const file = ts.createSourceFile('mutated.js', source, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  const found: Mutant[] = [];
  const add = (kind: string, node: ts.Node, text: string): void => {
    found.push({ kind, start: node.getStart(file), end: node.getEnd(), text });
  };
  const whole = (node: ts.Node): string => node.getText(file);

  const condition = (node: ts.Expression): void => {
    add('condition', node, 'true');
    add('condition', node, 'false');
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isNewExpression(node) && /Error$/.test(whole(node.expression))) return;
    if (ts.isTemplateExpression(node)) return;
    if (ts.isBinaryExpression(node)) {
      const texts = `${whole(node.left)}${whole(node.right)}`;
      const joinsText = node.operatorToken.kind === K.PlusToken && /['"`]/.test(texts);
      if (!joinsText)
        for (const operator of swaps.get(node.operatorToken.kind) ?? [])
          add('operator', node.operatorToken, operator);
    } else if (ts.isIfStatement(node)) condition(node.expression);
    else if (ts.isConditionalExpression(node)) condition(node.condition);
    else if (ts.isWhileStatement(node)) add('condition', node.expression, 'false');
    else if (ts.isPrefixUnaryExpression(node)) {
      if (node.operator === K.ExclamationToken || node.operator === K.MinusToken)
        add('unary', node, whole(node.operand));
      if (node.operator === K.PlusPlusToken) add('update', node, `--${whole(node.operand)}`);
    } else if (ts.isPostfixUnaryExpression(node))
      add('update', node, `${whole(node.operand)}${node.operator === K.PlusPlusToken ? '--' : '++'}`);
    else if (node.kind === K.TrueKeyword) add('boolean', node, 'false');
    else if (node.kind === K.FalseKeyword) add('boolean', node, 'true');
    else if (ts.isPropertyAccessExpression(node) && methods.has(node.name.text))
      add('method', node.name, methods.get(node.name.text)!);
    else if (ts.isBlock(node) && node.statements.length > 0 && !ts.isConstructorDeclaration(node.parent))
      add('block', node, '{}');
    else if (ts.isNumericLiteral(node) && !ts.isElementAccessExpression(node.parent))
      add('number', node, `(${whole(node)} + 1)`);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
