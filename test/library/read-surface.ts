import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import ts from 'typescript';

/** The compiler writes members of an inferred enum in the order in which it met their types in any file. */
const enumMembers = /(z\.ZodEnum<\{\n)((?:[ \t]+[\w"'-]+: "[^"]*";\n)+)/g;
/** It writes a union of texts in that order, too. */
const unions = /"[^"\n]*"(?: \| "[^"\n]*")+/g;
const sortedUnion = (text: string): string => text.split(' | ').sort().join(' | ');
const sortedLines = (text: string): string => `${text.trimEnd().split('\n').sort().join('\n')}\n`;

/** A declaration of the compiler's, in the file that holds it. */
interface Declared {
  readonly file: string;
  readonly name: string;
  readonly nodes: readonly ts.Statement[];
}

interface Declarations {
  readonly source: ts.SourceFile;
  /** By local name. */
  readonly own: ReadonlyMap<string, readonly ts.Statement[]>;
  /** Local name to where it comes from; packages keep their name. */
  readonly imported: ReadonlyMap<string, { readonly from: string; readonly name: string }>;
  /** Exported name to the local one, or to the file that it is passed on from. */
  readonly passedOn: ReadonlyMap<string, { readonly from: string; readonly name: string }>;
}

/**
 * The public surface of a package as text: each name that the entry exports, with the declaration that the compiler wrote,
 * then the declarations that these refer to. Comments do not count, and what comes from packages is named alone.
 */
export class Surface {
  readonly #root: string;
  readonly #files = new Map<string, Declarations>();
  readonly #printer = ts.createPrinter({ removeComments: true });

  /** `root`: what file names are relative to. */
  constructor(root: string) {
    this.#root = root;
  }

  /** `entry`: a declaration file. Throws for a name that leads nowhere. */
  exportsOf(entry: string): readonly Declared[] {
    const { passedOn } = this.#read(entry);
    return [...passedOn.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, to]) => ({ ...this.#find(to.from, to.name), name }));
  }

  /** What the given declarations refer to, directly or not, by file and name. */
  reachedFrom(declared: readonly Declared[]): readonly Declared[] {
    const seen = new Map(declared.map((one) => [`${one.file} ${nameOf(one)}`, one]));
    const found: Declared[] = [];
    const waiting = [...declared];
    for (let next = waiting.pop(); next; next = waiting.pop())
      for (const one of this.#referredTo(next)) {
        const key = `${one.file} ${one.name}`;
        if (seen.has(key)) continue;
        seen.set(key, one);
        found.push(one);
        waiting.push(one);
      }
    const order = (one: Declared): string => `${one.file} ${one.name}`;
    return found.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  }

  /** `shapes`: false leaves out what stands within braces of types, e.g. of answers that another test holds. */
  textOf({ file, nodes }: Declared, { shapes = true }: { readonly shapes?: boolean } = {}): string {
    const { source } = this.#read(file);
    return nodes
      .map((node) => (shapes ? node : withoutShapes(node)))
      .map((node) => this.#printer.printNode(ts.EmitHint.Unspecified, node, source))
      .join('\n')
      .replace(/^export (?:declare )?|^declare /gm, '')
      .replace(unions, sortedUnion)
      .replace(enumMembers, (_, open: string, members: string) => open + sortedLines(members));
  }

  #read(file: string): Declarations {
    const known = this.#files.get(file);
    if (known) return known;
    const text = readFileSync(file, 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const own = new Map<string, ts.Statement[]>();
    const imported = new Map<string, { from: string; name: string }>();
    const passedOn = new Map<string, { from: string; name: string }>();
    for (const statement of source.statements) {
      if (ts.isImportDeclaration(statement)) {
        const from = this.#target(file, statement.moduleSpecifier);
        const { name, namedBindings } = statement.importClause ?? {};
        if (name) imported.set(name.text, { from, name: 'default' });
        if (namedBindings && ts.isNamedImports(namedBindings))
          for (const one of namedBindings.elements)
            imported.set(one.name.text, { from, name: (one.propertyName ?? one.name).text });
      } else if (ts.isExportDeclaration(statement)) {
        const clause = statement.exportClause;
        if (!clause || !ts.isNamedExports(clause)) continue;
        const from = statement.moduleSpecifier ? this.#target(file, statement.moduleSpecifier) : file;
        for (const one of clause.elements)
          passedOn.set(one.name.text, { from, name: (one.propertyName ?? one.name).text });
      } else for (const name of namesIn(statement)) own.set(name, [...(own.get(name) ?? []), statement]);
    }
    const declarations = { source, own, imported, passedOn };
    this.#files.set(file, declarations);
    return declarations;
  }

  /** A declaration file for a relative specifier, the specifier itself for a package. */
  #target(file: string, specifier: ts.Expression): string {
    const { text } = specifier as ts.StringLiteral;
    return text.startsWith('.') ? resolve(dirname(file), text.replace(/\.js$/, '.d.ts')) : text;
  }

  #find(file: string, name: string): Declared {
    const { own, imported, passedOn } = this.#read(file);
    const nodes = own.get(name);
    if (nodes) return { file, name, nodes };
    const passed = passedOn.get(name);
    // What is imported and then exported is passed on by the file to itself.
    const to = passed && passed.from !== file ? passed : imported.get(passed?.name ?? name);
    if (!to) throw new Error(`${relative(this.#root, file)} declares no ${name}`);
    return this.#find(to.from, to.name);
  }

  #referredTo({ file, nodes }: Declared): Declared[] {
    const { own, imported } = this.#read(file);
    const found: Declared[] = [];
    const add = (from: string, name: string): void => {
      if (from.startsWith('/')) found.push(this.#find(from, name));
    };
    const visit = (node: ts.Node): void => {
      if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
        const qualifier = node.qualifier;
        const first = qualifier && (ts.isIdentifier(qualifier) ? qualifier : leftmost(qualifier));
        if (first) add(this.#target(file, node.argument.literal as ts.StringLiteral), first.text);
      } else if (ts.isIdentifier(node) && !isMemberName(node)) {
        const from = imported.get(node.text);
        if (from) add(from.from, from.name);
        else if (own.has(node.text)) add(file, node.text);
      }
      ts.forEachChild(node, visit);
    };
    nodes.forEach(visit);
    return found;
  }
}

/** Object types become `Shape`. */
function withoutShapes(statement: ts.Statement): ts.Statement {
  const transformed = ts.transform(statement, [
    (context) => (root) => {
      const visit = (node: ts.Node): ts.Node =>
        ts.isTypeLiteralNode(node)
          ? context.factory.createTypeReferenceNode('Shape')
          : ts.visitEachChild(node, visit, context);
      return ts.visitNode(root, visit) as ts.Statement;
    },
  ]);
  return transformed.transformed[0] as ts.Statement;
}

const nameOf = ({ nodes, name }: Declared): string => namesIn(nodes[0] as ts.Statement)[0] ?? name;

function leftmost(name: ts.EntityName): ts.Identifier {
  return ts.isIdentifier(name) ? name : leftmost(name.left);
}

/** A name within an object or after a dot stands for no declaration of the file. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isQualifiedName(parent)) return parent.right === node;
  if (ts.isParameter(parent)) return parent.name === node;
  return (
    (ts.isPropertySignature(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isMethodSignature(parent) ||
      ts.isMethodDeclaration(parent) ||
      ts.isGetAccessorDeclaration(parent)) &&
    parent.name === node
  );
}

function namesIn(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) =>
      ts.isIdentifier(name) ? [name.text] : [],
    );
  const isNamed =
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isFunctionDeclaration(statement) ||
    ts.isEnumDeclaration(statement);
  return isNamed && statement.name ? [statement.name.text] : [];
}
