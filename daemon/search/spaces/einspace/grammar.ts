import { HildaError } from '../../../core/errors.js';

/** A value's shape without the batch: [channels, height, width] as an image, [tokens, features] as columns. */
export type Form = readonly number[];

const isImage = (form: Form): boolean => form.length === 3;

const elements = (form: Form): number => form.reduce((a, b) => a * b, 1);

/** M of einspace's grammar (Ericsson et al., NeurIPS 2024, section 3.1): one derivation. */
export type Module =
  | { readonly m: 'seq'; readonly first: Module; readonly next: Module }
  | {
      readonly m: 'branch';
      /** How the input goes to the branches: whole, or cut along channels or features. */
      readonly split: 'clone' | 'group';
      readonly ways: number;
      /** Two parts for two ways; for more ways one part, repeated with weights of its own. */
      readonly parts: readonly Module[];
      readonly join: Join;
    }
  | { readonly m: 'route'; readonly pre: Pre; readonly inner: Module; readonly post: Post }
  | { readonly m: 'comp'; readonly f: Computation; readonly width?: number };

export type Join = 'add' | 'concat' | 'dot' | 'scaledDot';

export type Pre = 'identity' | 'permute' | `im2col${number}`;

export type Post = 'identity' | 'permute' | 'col2im';

export type Computation = 'identity' | 'linear' | 'norm' | 'leakyRelu' | 'softmax' | 'position';

/** What keeps derivations finite and networks small enough to measure. */
export interface Bounds {
  readonly widths: readonly number[];
  readonly patches: readonly number[];
  readonly maxNodes: number;
  /** Modules of the network, a repeated part as often as it stands: eight ways within eight within eight are 512. */
  readonly maxModules: number;
  /** Of any activation, and of any matrix. */
  readonly maxElements: number;
}

export const identity: Module = { m: 'comp', f: 'identity' };

/** The output's form, or undefined where the operator does not take the input. */
export function computationForm(f: Computation, form: Form, width: number, bounds: Bounds): Form | undefined {
  if (f !== 'linear' && f !== 'softmax' && f !== 'position') return form;
  if (isImage(form)) return undefined;
  if (f !== 'linear') return form;
  const [tokens, features] = form as [number, number];
  const fits = tokens * width <= bounds.maxElements && features * width <= bounds.maxElements;
  return fits && bounds.widths.includes(width) ? [tokens, width] : undefined;
}

export function preForm(pre: Pre, form: Form, bounds: Bounds): Form | undefined {
  if (pre === 'identity') return form;
  if (pre === 'permute') return isImage(form) ? undefined : [form[1] as number, form[0] as number];
  const patch = Number(pre.slice('im2col'.length));
  if (!isImage(form) || !bounds.patches.includes(patch)) return undefined;
  const [channels, height, width] = form as [number, number, number];
  // 1 and 3 slide by one pixel, the others tile the image.
  const stride = patch <= 3 ? 1 : patch;
  if (height % stride !== 0 || width % stride !== 0) return undefined;
  const out = [(height / stride) * (width / stride), channels * patch * patch];
  return elements(out) <= bounds.maxElements ? out : undefined;
}

export function postForm(post: Post, form: Form): Form | undefined {
  if (post === 'identity') return form;
  if (isImage(form)) return undefined;
  const [tokens, features] = form as [number, number];
  if (post === 'permute') return [features, tokens];
  const side = Math.round(Math.sqrt(tokens));
  return side * side === tokens && side > 1 ? [features, side, side] : undefined;
}

/** What each branch gets. */
export function splitForm(split: 'clone' | 'group', ways: number, form: Form): Form | undefined {
  if (split === 'clone') return form;
  const axis = isImage(form) ? 0 : form.length - 1;
  const size = form[axis] as number;
  return size % ways === 0 && size / ways >= 2 ? form.map((n, i) => (i === axis ? n / ways : n)) : undefined;
}

export function joinForm(join: Join, forms: readonly Form[], bounds: Bounds): Form | undefined {
  const [a, b] = forms as [Form, Form];
  const alike = (skip: number): boolean =>
    forms.every((form) => form.length === a.length && form.every((n, i) => i === skip || n === a[i]));
  if (join === 'add') return alike(-1) ? a : undefined;
  if (join === 'concat') {
    const axis = isImage(a) ? 0 : 1;
    if (!alike(axis)) return undefined;
    const out = a.map((n, i) => (i === axis ? forms.reduce((sum, form) => sum + (form[i] as number), 0) : n));
    return elements(out) <= bounds.maxElements ? out : undefined;
  }
  if (forms.length !== 2 || isImage(a) || isImage(b) || a[1] !== b[0]) return undefined;
  const out = [a[0] as number, b[1] as number];
  return elements(out) <= bounds.maxElements ? out : undefined;
}

export const computations = ['identity', 'linear', 'norm', 'leakyRelu', 'softmax', 'position'] as const;

export const posts = ['identity', 'permute', 'col2im'] as const;

export const joins = ['add', 'concat', 'dot', 'scaledDot'] as const;

export const forks = (['clone', 'group'] as const).flatMap((split) =>
  [2, 4, 8].map((ways) => ({ split, ways })),
);

/** Two ways have a part each; more ways repeat one. */
export const copiesOfPart = (copies: number, ways: number): number => (ways === 2 ? copies : copies * ways);

/** The form that a module gives on this one. Throws ARCHITECTURE_INVALID where the grammar does not allow it. */
export function formOf(module: Module, form: Form, bounds: Bounds): Form {
  const refuse = (why: string): never => {
    throw new HildaError('ARCHITECTURE_INVALID', `no derivation: ${why} on [${form}]`);
  };
  switch (module?.m) {
    case 'comp': {
      if (!computations.includes(module.f)) return refuse(`computation ${String(module.f)}`);
      return (
        computationForm(module.f, form, module.width ?? 0, bounds) ??
        refuse(`${module.f} ${module.width ?? ''}`)
      );
    }
    case 'seq':
      return formOf(module.next, formOf(module.first, form, bounds), bounds);
    case 'route': {
      const inside = preForm(module.pre, form, bounds) ?? refuse(String(module.pre));
      const out = formOf(module.inner, inside, bounds);
      return (
        (posts.includes(module.post) ? postForm(module.post, out) : undefined) ?? refuse(String(module.post))
      );
    }
    case 'branch': {
      const { split, ways, parts, join } = module;
      const known = forks.some((fork) => fork.split === split && fork.ways === ways) && joins.includes(join);
      if (!known || !Array.isArray(parts) || parts.length !== (ways === 2 ? 2 : 1)) return refuse('a branch');
      const into = splitForm(split, ways, form) ?? refuse(`${split} ${ways}`);
      const out = parts.map((part) => formOf(part, into, bounds));
      const forms = ways === 2 ? out : Array.from({ length: ways }, () => out[0] as Form);
      return joinForm(join, forms, bounds) ?? refuse(`${join} of ${forms.map((f) => `[${f}]`).join(' ')}`);
    }
    default:
      return refuse('an unknown module');
  }
}

/** Modules of a derivation. */
export const nodeCount = (module: Module): number => count(module, () => 1);

/** Modules of the network that a derivation builds: a repeated part counts as often as it stands. */
export const moduleCount = (module: Module): number => count(module, (ways) => copiesOfPart(1, ways));

function count(module: Module, copies: (ways: number) => number): number {
  switch (module.m) {
    case 'comp':
      return 1;
    case 'seq':
      return 1 + count(module.first, copies) + count(module.next, copies);
    case 'route':
      return 1 + count(module.inner, copies);
    case 'branch':
      return 1 + copies(module.ways) * module.parts.reduce((sum, part) => sum + count(part, copies), 0);
  }
}
