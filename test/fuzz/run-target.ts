/**
 * `run-target.js NAME SEED INPUTS [guided]`: one reader in a process of its own, so that what it does to memory and stack ends
 * with it. Its last line is the figures as JSON. A fault that nobody catches ends the process.
 */
import { Coverage } from './coverage.js';
import { type FuzzTarget, fuzz } from './guided.js';
import { openTarget } from './targets/index.js';

const [name = '', seed = '1', inputs = '1000', guided] = process.argv.slice(2);
const coverage = guided
  ? await Coverage.start((url) => /\/dist\/(daemon|firmware-bridge)\//.test(url))
  : null;
const target = (await openTarget(name)) as FuzzTarget<unknown>;
const figures = await fuzz(target, { seed: Number(seed), inputs: Number(inputs), coverage });
console.log(JSON.stringify(figures));
process.exit(0);
