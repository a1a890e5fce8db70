import type { SimulatedClock } from '../core/simulated-clock.js';

/** The same object, whose calls hold the clock until they have ended: no time passes while a database is asked. */
export function holdingCalls<T extends object>(object: T, clock: SimulatedClock): T {
  const held = new Map<PropertyKey, unknown>();
  return new Proxy(object, {
    get(target, name): unknown {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      const known = held.get(name);
      if (known) return known;
      const call = (...args: unknown[]): unknown => {
        const answer: unknown = value.apply(target, args);
        if (!(answer instanceof Promise)) return answer;
        void clock.hold(() => answer).catch(() => {});
        return answer;
      };
      held.set(name, call);
      return call;
    },
  });
}
