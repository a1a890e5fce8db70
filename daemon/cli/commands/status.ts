import { Command } from 'commander';
import { act, type Terminal } from '../context.js';

export const statusCommand = (terminal: Terminal): Command =>
  new Command('status').action(
    act(terminal, async (context) => {
      const health = await context.client.health(context);
      const { base } = context.client;
      context.answer('status', { url: base, ...health }, () =>
        [
          `hilda ${health.version} at ${base}: ${health.devices} devices, ${health.studiesRunning} studies running, ${health.lastSeq} events`,
          ...(health.faults
            ? [
                `faults are injected on purpose: ${health.faults.rules} rules, ${health.faults.strikes} strikes`,
              ]
            : []),
          ...health.plugins.map(({ name, version, samplers, drivers, evaluators, spaces, models }) => {
            const parts = [
              ...samplers.map((one) => `sampler ${one}`),
              ...drivers.map((one) => `driver ${one}`),
              ...evaluators.map((one) => `evaluator ${one}`),
              ...spaces.map((one) => `space ${one}`),
              ...models.map((one) => `model ${one}`),
            ];
            return `plug-in ${name} ${version}: ${parts.join(', ') || 'nothing'}`;
          }),
        ].join('\n'),
      );
    }),
  );
