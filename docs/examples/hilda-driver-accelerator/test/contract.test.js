import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { deviceContract, doublingNetwork, openPlugin } from 'hilda/testing';
import { startStandIn } from './stand-in.js';

const standIn = await startStandIn();
test.after(() => standIn.stop());
const plugin = await openPlugin(fileURLToPath(new URL('..', import.meta.url)), {
  drivers: { accelerator: { url: standIn.url } },
});

const sound = doublingNetwork();
const broken = { ...sound, nodes: sound.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) };
const suite = deviceContract(() => plugin.driver('accelerator'), { broken, host: null });
for (const { name, run } of suite) test(name, run);
