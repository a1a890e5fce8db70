/**
 * Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) on the study's first objective, within its limits. Each trial is
 * a mutation of the present architecture. A better one takes its place; one that is worse by the share d does so with
 * probability exp(-d / T). The temperature T falls with each trial.
 *
 * @typedef {{ temperature: number, cooling: number }} Options
 * @typedef {{ present: import('hilda/plugin').Json, value: number | null, temperature: number }} State
 * @type {import('hilda/plugin').PluginFactory}
 */
export default ({ remembering, proposeUnseen }) => {
  /** @type {import('hilda/plugin').SamplerKind<Options>} */
  const annealing = {
    name: 'simulated-annealing',

    readOptions(given) {
      const { temperature = 0.1, cooling = 0.98, ...others } = given;
      const [unknown] = Object.keys(others);
      if (unknown !== undefined) throw new Error(`${unknown} is no option; known: temperature, cooling`);
      if (typeof temperature !== 'number' || !(temperature > 0)) throw new Error('temperature is above 0');
      if (typeof cooling !== 'number' || !(cooling > 0 && cooling < 1))
        throw new Error('cooling is between 0 and 1');
      return { temperature, cooling };
    },

    create({ temperature, cooling }) {
      /** @type {State} */
      const initial = { present: null, value: null, temperature };
      return remembering('simulated-annealing', [], initial, (n, context, memory) => {
        const { space, rng, objectives } = context;
        const [{ metric, goal }] = /** @type {[typeof objectives[number]]} */ (objectives);
        for (const trial of memory.news) {
          const { present, value, temperature: now } = memory.value;
          const next = trial.values[metric];
          const cooled = now * cooling;
          memory.value = { present, value, temperature: cooled };
          if (trial.state !== 'complete' || next === undefined) continue;
          const worse =
            value === null ? 0 : (goal === 'min' ? next - value : value - next) / Math.abs(value) || 0;
          if (worse <= 0 || rng.next() < Math.exp(-worse / now))
            memory.value = {
              present: /** @type {State['present']} */ (trial.architecture),
              value: next,
              temperature: cooled,
            };
        }
        const { present } = memory.value;
        return proposeUnseen(n, context, () => {
          if (present === null) return undefined;
          const architecture = /** @type {import('hilda/plugin').Architecture} */ (present);
          return { architecture: space.mutate(architecture, rng), note: 'annealing' };
        });
      });
    },
  };
  return { samplers: [annealing] };
};
