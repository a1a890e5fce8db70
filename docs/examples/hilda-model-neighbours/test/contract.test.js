import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { modelContract, openPlugin } from 'hilda/testing';

const plugin = await openPlugin(fileURLToPath(new URL('..', import.meta.url)));

for (const { name, run } of modelContract(plugin.model('neighbours'))) test(name, run);
