import { type Given, numbers } from '../../test/agreement/onnxruntime.js';

/** How near the int8 answers are to the float ones, over all inputs. */
export interface Agreement {
  /** The lowest of the outputs. */
  readonly cosine: number;
  /** Share of choices that are the same; null where the model chooses nothing. */
  readonly top1: number | null;
}

type Outputs = Readonly<
  Record<string, { readonly dims: readonly number[]; readonly data: ArrayLike<number> }>
>;

const choiceAt = (data: ArrayLike<number>, from: number, classes: number): number => {
  let best = from;
  for (let i = from; i < from + classes; i++) if ((data[i] as number) > (data[best] as number)) best = i;
  return best - from;
};

export function agreement(
  float: readonly Readonly<Record<string, Given>>[],
  int8: readonly Outputs[],
  { classes, threshold }: { readonly classes?: readonly string[]; readonly threshold?: readonly string[] },
): Agreement {
  const names = Object.keys(float[0] ?? {});
  const has = (list: readonly string[] | undefined, name: string): boolean =>
    list?.includes(name) || list?.includes('*') || false;
  let [same, choices] = [0, 0];
  const cosines = names.map((name) => {
    let [product, a2, b2] = [0, 0, 0];
    for (const [i, answer] of float.entries()) {
      const a = numbers(answer[name] as Given);
      const b = int8[i]?.[name]?.data ?? [];
      for (let k = 0; k < a.length; k++) {
        product += (a[k] as number) * (b[k] as number);
        a2 += (a[k] as number) ** 2;
        b2 += (b[k] as number) ** 2;
      }
      const last = answer[name]?.dims.at(-1) ?? 1;
      if (has(classes, name))
        for (let from = 0; from < a.length; from += last, choices++)
          if (choiceAt(a, from, last) === choiceAt(b, from, last)) same++;
      if (has(threshold, name))
        for (let k = 0; k < a.length; k++, choices++)
          if ((a[k] as number) > 0.5 === (b[k] as number) > 0.5) same++;
    }
    return a2 === 0 && b2 === 0 ? 1 : product / Math.sqrt(a2 * b2);
  });
  return { cosine: Math.min(...cosines), top1: choices > 0 ? same / choices : null };
}
