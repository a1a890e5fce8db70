import {
  type Bounds,
  type Computation,
  computationForm,
  computations,
  copiesOfPart,
  type Form,
  forks,
  joinForm,
  joins,
  type Module,
  type Pre,
  postForm,
  posts,
  preForm,
  splitForm,
} from './grammar.js';

/** Chooses among options by name; weights are relative. The one source of decisions, for every caller. */
export type Chooser = (options: readonly string[], weights: readonly number[]) => number;

/** No option fits: this derivation leads nowhere. */
export class DeadEnd extends Error {}

/** Probability of a computation; the three other modules share the rest (search_spaces.py). */
const computationShare = 0.32;

/**
 * One derivation from M for an input of this form: every decision is the chooser's, among those that fit so far.
 * Throws DeadEnd where the branches' forms admit no join.
 */
export function derive(form: Form, bounds: Bounds, choose: Chooser): { module: Module; form: Form } {
  // Modules begun, in the derivation and in the network: past a limit every further one is a computation.
  let nodes = 0;
  let modules = 0;
  const pickOf = <T>(
    options: readonly T[],
    nameOf: (option: T) => string,
    weights?: readonly number[],
  ): T => {
    if (options.length === 0) throw new DeadEnd('no option fits');
    return options[choose(options.map(nameOf), weights ?? options.map(() => 1))] as T;
  };
  const module = (at: Form, copies: number): { module: Module; form: Form } => {
    nodes++;
    modules += copies;
    const openForks = forks.filter(
      ({ split, ways }) =>
        splitForm(split, ways, at) && modules + copiesOfPart(copies, ways) <= bounds.maxModules,
    );
    const mayGrow = nodes < bounds.maxNodes && openForks.length > 0;
    const kinds = mayGrow ? (['comp', 'seq', 'branch', 'route'] as const) : (['comp'] as const);
    const rest = (1 - computationShare) / 3;
    const kind = pickOf<(typeof kinds)[number]>(
      kinds,
      String,
      [computationShare, rest, rest, rest].slice(0, kinds.length),
    );
    if (kind === 'comp') {
      const options = computations.flatMap((f): { readonly f: Computation; readonly width: number }[] =>
        f === 'linear'
          ? bounds.widths.filter((w) => computationForm(f, at, w, bounds)).map((width) => ({ f, width }))
          : computationForm(f, at, 0, bounds)
            ? [{ f, width: 0 }]
            : [],
      );
      const { f, width } = pickOf(options, nameOfComputation);
      const out = computationForm(f, at, width, bounds) as Form;
      return { module: f === 'linear' ? { m: 'comp', f, width } : { m: 'comp', f }, form: out };
    }
    if (kind === 'seq') {
      const first = module(at, copies);
      const next = module(first.form, copies);
      return { module: { m: 'seq', first: first.module, next: next.module }, form: next.form };
    }
    if (kind === 'route') {
      const pres: readonly Pre[] = ['identity', 'permute', ...bounds.patches.map((p): Pre => `im2col${p}`)];
      const pre = pickOf(
        pres.filter((option) => preForm(option, at, bounds)),
        String,
      );
      const inner = module(preForm(pre, at, bounds) as Form, copies);
      const post = pickOf(
        posts.filter((option) => postForm(option, inner.form)),
        String,
      );
      return {
        module: { m: 'route', pre, inner: inner.module, post },
        form: postForm(post, inner.form) as Form,
      };
    }
    const { split, ways } = pickOf(openForks, nameOfFork);
    const into = splitForm(split, ways, at) as Form;
    const each = copiesOfPart(copies, ways);
    const grown = ways === 2 ? [module(into, each), module(into, each)] : [module(into, each)];
    const forms =
      ways === 2
        ? grown.map((part) => part.form)
        : Array.from({ length: ways }, () => (grown[0] as { form: Form }).form);
    const join = pickOf(
      joins.filter((option) => joinForm(option, forms, bounds)),
      String,
    );
    return {
      module: { m: 'branch', split, ways, parts: grown.map((part) => part.module), join },
      form: joinForm(join, forms, bounds) as Form,
    };
  };
  return module(form, 1);
}

const nameOfComputation = ({ f, width }: { readonly f: Computation; readonly width?: number }): string =>
  f === 'linear' ? `linear ${width}` : f;

const nameOfFork = ({ split, ways }: { readonly split: string; readonly ways: number }): string =>
  `${split} ${ways}`;

/** The options taken to derive a module, by name, in the order in which `derive` asks. */
export function optionsOf(module: Module): string[] {
  switch (module.m) {
    case 'comp':
      return ['comp', nameOfComputation(module)];
    case 'seq':
      return ['seq', ...optionsOf(module.first), ...optionsOf(module.next)];
    case 'route':
      return ['route', module.pre, ...optionsOf(module.inner), module.post];
    case 'branch':
      return ['branch', nameOfFork(module), ...module.parts.flatMap(optionsOf), module.join];
  }
}
