import { type Bounds, type Form, formOf, identity, type Module, type Post, splitForm } from './grammar.js';

/**
 * The derivation that stands for all that build the same network: sequences lean to the right and hold no identity;
 * a routing step is a route of its own around an identity.
 */
export function canonical(module: Module): Module {
  const steps = stepsOf(module);
  const last = steps.at(-1) ?? identity;
  return steps.slice(0, -1).reduceRight<Module>((next, first) => ({ m: 'seq', first, next }), last);
}

function stepsOf(module: Module): Module[] {
  switch (module.m) {
    case 'comp':
      return module.f === 'identity' ? [] : [module.f === 'linear' ? module : { m: 'comp', f: module.f }];
    case 'seq':
      return [...stepsOf(module.first), ...stepsOf(module.next)];
    case 'route':
      return [
        ...(module.pre === 'identity'
          ? []
          : [{ m: 'route', pre: module.pre, inner: identity, post: 'identity' } as const]),
        ...stepsOf(module.inner),
        ...(module.post === 'identity' ? [] : [routed(module.post)]),
      ];
    case 'branch':
      return [{ ...module, parts: module.parts.map(canonical) }];
  }
}

/** Permutation is a routing step before as after: it stands before. */
const routed = (post: Post): Module =>
  post === 'permute'
    ? { m: 'route', pre: 'permute', inner: identity, post: 'identity' }
    : { m: 'route', pre: 'identity', inner: identity, post };

/** Every module of a derivation with the form it gets, and how to put another in its place. */
export interface Place {
  readonly module: Module;
  readonly form: Form;
  readonly replace: (other: Module) => Module;
}

export function placesOf(root: Module, form: Form, bounds: Bounds): Place[] {
  const places: Place[] = [];
  const walk = (module: Module, at: Form, replace: (other: Module) => Module): void => {
    places.push({ module, form: at, replace });
    if (module.m === 'seq') {
      walk(module.first, at, (first) => replace({ ...module, first }));
      walk(module.next, formOf(module.first, at, bounds), (next) => replace({ ...module, next }));
    } else if (module.m === 'branch') {
      const into = splitForm(module.split, module.ways, at) as Form;
      module.parts.forEach((part, i) => {
        walk(part, into, (other) =>
          replace({ ...module, parts: module.parts.map((p, k) => (k === i ? other : p)) }),
        );
      });
    }
  };
  walk(root, form, (other) => other);
  return places;
}
