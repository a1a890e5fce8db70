import { systemClock } from '../../../daemon/core/clock.js';
import type { DeviceId, MeasurementId } from '../../../daemon/core/ids.js';
import { VirtualDriver } from '../../../daemon/devices/virtual/driver.js';
import type { VirtualUnitOptions } from '../../../daemon/devices/virtual/unit.js';
import type { Protocol } from '../../../daemon/measure/protocol.js';
import { loadProtocol } from '../../../daemon/measure/protocols.js';
import { referenceNetworks } from '../../../daemon/measure/references.js';
import { structureHash } from '../../../daemon/network/canonical-text.js';
import type { Graph } from '../../../daemon/network/graph.js';
import { toRow } from '../../../daemon/store/measurements.js';
import { openStore } from '../../../daemon/store/open-store.js';
import { openSqlite } from '../../../daemon/store/sqlite-engine.js';

/** Three rounds of one run: the devices' own computing is no part of what the daemon is asked for. */
export const fleetProtocol: Protocol = {
  ...loadProtocol('quick'),
  name: 'fleet',
  warmupBlock: 1,
  runsPerLeg: 1,
  minRounds: 3,
  maxRounds: 3,
  ciHalfWidth: 1,
};

interface Known {
  readonly graph: Graph;
  readonly hash: string;
}

/** The networks that are stored of each device; jobs measure the first. */
export function fleetNetworks(): readonly [Known, Known] {
  const { convolution, transformer } = referenceNetworks();
  const known = (graph: Graph): Known => ({ graph, hash: structureHash(graph) });
  return [known(convolution), known(transformer)];
}

let units: readonly VirtualUnitOptions[] = [];

export function unitsOf(count: number): readonly VirtualUnitOptions[] {
  if (units.length !== count)
    units = Array.from({ length: count }, (_, i) => ({
      id: `virtual-fleet-${i}`,
      model: `virtual ${i % 20}`,
    }));
  return units;
}

/** Of each series that is stored. */
const pointsOfSeries = 250;

/**
 * Stores so many measurements of virtual devices, 250 of each network on each device, by SQL alone: the first one was taken, and
 * the others differ by noise. Before, all devices are adopted. Answers with how many devices they are of.
 */
export async function fillMeasurements(dataDir: string, wanted: number, devices: number): Promise<number> {
  const networks = fleetNetworks();
  const filled = Math.ceil(wanted / (networks.length * pointsOfSeries));
  const driver = new VirtualDriver({
    clock: systemClock,
    pace: 0,
    units: unitsOf(Math.max(filled, devices)),
  });
  const { signal } = new AbortController();
  const store = await openStore({ dataDir, clock: systemClock });
  const templates = [];
  const sightings = [];
  for await (const sighting of driver.discover({ signal })) sightings.push(sighting);
  await store.upsertDevices(sightings);
  for (const sighting of sightings.slice(0, 1)) {
    const device = await driver.open(sighting, { signal });
    for (const { graph } of networks)
      templates.push(await device.measure(graph, loadProtocol('quick'), { signal }));
  }
  await store.close();
  const engine = await openSqlite({ dataDir });
  try {
    await engine.db('devices').update({ state: 'adopted' });
    for (const [n, template] of templates.entries()) {
      const row = toRow({
        ...template,
        id: 'm0' as MeasurementId,
        deviceId: 'virtual-fleet-0' as DeviceId,
        studyId: null,
        trialNumber: null,
      });
      const us = template.latency?.normalisedUs ?? 1;
      const share = `(1 + (abs(random()) % 2000 - 1000) / 100000.0)`;
      const columns: Record<string, string> = {
        ordinal: `i * ${networks.length} + ${n + 1}`,
        id: `'m' || (i * ${networks.length} + ${n + 1})`,
        device_id: `'virtual-fleet-' || (i % ${filled})`,
        latency: `json_set(:latency, '$.normalisedUs', ${us} * noise, '$.normalisedCiUs[0]', ${us} * noise * 0.99, '$.normalisedCiUs[1]', ${us} * noise * 1.01)`,
        taken_at_ms: `${Date.UTC(2026, 0, 1)} + (i / ${filled}) * 86400000 + i % 3600000`,
      };
      const names = ['ordinal', ...Object.keys(row)];
      const select = names.map((name) => columns[name] ?? `:${name}`).join(', ');
      const sql = `WITH RECURSIVE n(i, noise) AS (SELECT 0, 1.0 UNION ALL SELECT i + 1, ${share} FROM n WHERE i < ${filled * pointsOfSeries - 1}) INSERT INTO measurements (${names.join(', ')}) SELECT ${select} FROM n`;
      await engine.db.raw(sql, row as never);
    }
  } finally {
    await engine.close();
  }
  return filled;
}
