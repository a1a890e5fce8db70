import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

/** The modules of some folders: what each imports of the others, and the values that each exports. */
export interface ModuleGraph {
  /** Paths from the root, with those they import; types count. */
  readonly imports: ReadonlyMap<string, ReadonlySet<string>>;
  /** `path name` of each exported value that no other module imports by name. */
  readonly unusedValues: readonly string[];
}

/** Reads every .ts and .tsx file in `folders` of `root`, with the compiler's own parser. */
export function readModules(root: string, folders: readonly string[]): ModuleGraph {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.endsWith('.d.ts'))
      .map((name) => join(folder, name)),
  );
  const known = new Set(files);
  const imports = new Map<string, Set<string>>();
  const used = new Set<string>();
  const values: string[] = [];
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const reached = new Set<string>();
    imports.set(file, reached);
    const targetOf = (specifier: ts.Node | undefined): string | undefined => {
      if (!specifier || !ts.isStringLiteralLike(specifier) || !specifier.text.startsWith('.'))
        return undefined;
      const base = relative(root, resolve(root, dirname(file), specifier.text)).replace(/\.js$/, '');
      return [`${base}.ts`, `${base}.tsx`].find((path) => known.has(path));
    };
    /** `*` stands for all names. */
    const use = (target: string | undefined, names: readonly string[]): void => {
      if (target) for (const name of names) used.add(`${target} ${name}`);
    };
    const visit = (node: ts.Node): void => {
      if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
        const target = targetOf(node.moduleSpecifier);
        if (target) reached.add(target);
        use(target, namesOf(node));
      } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
        use(targetOf(node.arguments[0]), ['*']);
      else values.push(...exportedValues(node).map((name) => `${file} ${name}`));
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  const isUnused = (value: string): boolean => !used.has(value) && !used.has(`${value.split(' ')[0]} *`);
  return { imports, unusedValues: values.filter(isUnused) };
}

/** The names that a declaration takes from another module. */
function namesOf(node: ts.ImportDeclaration | ts.ExportDeclaration): string[] {
  if (ts.isExportDeclaration(node)) {
    if (!node.exportClause || !ts.isNamedExports(node.exportClause)) return ['*'];
    return node.exportClause.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
  }
  const bindings = node.importClause?.namedBindings;
  if (!bindings) return [];
  if (ts.isNamespaceImport(bindings)) return ['*'];
  return bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
}

/** Functions, classes and constants that a statement exports. */
function exportedValues(node: ts.Node): string[] {
  const isExported =
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  if (!isExported) return [];
  if (ts.isVariableStatement(node))
    return node.declarationList.declarations.flatMap(({ name }) =>
      ts.isIdentifier(name) ? [name.text] : [],
    );
  return (ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)) && node.name ? [node.name.text] : [];
}

/** The groups of nodes that reach each other (Tarjan 1972), each sorted. */
export function cyclesOf(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    lowest.set(node, order.get(node) as number);
    open.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (open.includes(next))
        lowest.set(node, Math.min(lowest.get(node) as number, lowest.get(next) as number));
    }
    if (lowest.get(node) !== order.get(node)) return;
    const group = open.splice(open.indexOf(node));
    if (group.length > 1) found.push(group.sort());
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found;
}
