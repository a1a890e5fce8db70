import { dirname, resolve } from 'node:path';
import { labelledPaths } from '../data/labelled/spec.js';
import { readSpec } from './read-input.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a specification. Paths of a person's data and weights are resolved beside it, since a daemon runs elsewhere: of
 * `dataset` and `weights`, and of those below `evaluator`. Where `space` names a .json or .yaml file, its content takes
 * the name's place. Throws NOT_FOUND, SPEC_INVALID.
 */
export async function readSpecWithData(path: string): Promise<unknown> {
  const spec = await readSpec(path);
  if (!isFields(spec)) return spec;
  const beside = (fields: Fields): Fields => withDataPaths(fields, dirname(resolve(path)));
  const { space } = spec;
  const own = typeof space === 'string' && /\.(json|ya?ml)$/.test(space);
  return {
    ...beside(spec),
    ...(own && { space: await readSpec(resolve(dirname(path), space)) }),
    ...(isFields(spec.evaluator) && { evaluator: beside(spec.evaluator) }),
  };
}

function withDataPaths(fields: Fields, folder: string): Fields {
  const at = (value: unknown): unknown => (typeof value === 'string' ? resolve(folder, value) : value);
  const dataset = (value: Fields): Fields =>
    Object.fromEntries(
      Object.entries(value).map(([key, field]) => [
        key,
        (labelledPaths as readonly string[]).includes(key) ? at(field) : field,
      ]),
    );
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => {
      if (key === 'weights') return [key, at(value)];
      const isData = (key === 'dataset' || key === 'training') && isFields(value);
      return [key, isData && value.kind !== undefined && value.kind !== 'idx' ? dataset(value) : value];
    }),
  );
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
