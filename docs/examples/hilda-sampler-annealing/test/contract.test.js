import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPlugin, samplerContract } from 'hilda/testing';

const plugin = await openPlugin(fileURLToPath(new URL('..', import.meta.url)));

for (const { name, run } of samplerContract(() => plugin.sampler('simulated-annealing'))) test(name, run);
