import { HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { openAgentDevice } from './device.js';
import type { Agent, AgentHub } from './hub.js';
import type { OfferedDevice } from './wire.js';

const idOf = (agent: Agent, { id }: OfferedDevice): DeviceId => `${agent.id}-${id}` as DeviceId;

/** Finds the devices of the agents that joined. */
export class AgentDriver implements Driver {
  readonly kind = 'agent';

  constructor(private readonly hub: AgentHub) {}

  async *discover(): AsyncIterable<Sighting> {
    for (const agent of this.hub.agents()) {
      for (const device of agent.devices) {
        const { label, target, obstacle } = device;
        // What the agent calls local is that machine, which may be this one.
        const host = device.host === null ? null : this.hub.peers.isHere(agent.id) ? 'local' : agent.id;
        const id = idOf(agent, device);
        yield {
          id,
          kind: this.kind,
          label: `${label} on ${agent.name}`,
          target,
          host,
          obstacle,
          // A phone that does not trust the agent's machine yet has no name of its own, and may get another one.
          invited: obstacle === null,
        };
      }
    }
  }

  /** Asks the agent what the device can do: its optional members are the answer. */
  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    for (const agent of this.hub.agents()) {
      const device = agent.devices.find((offered) => idOf(agent, offered) === sighting.id);
      if (device) return openAgentDevice(this.hub, agent.id, device, signal);
    }
    throw new HildaError('DEVICE_GONE', `the agent of ${sighting.id} is not here now`);
  }

  async watch({ signal, onChange }: Parameters<NonNullable<Driver['watch']>>[0]): Promise<void> {
    const stop = this.hub.onChange(onChange);
    signal.addEventListener('abort', stop, { once: true });
    await this.hub.watchLeases(signal);
  }
}
