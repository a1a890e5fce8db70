/** `hilda/testing`: devices without hardware, a daemon to test against, and the suites that hold each contract. */
export { FakeDevice, type FakeDeviceOptions, type FakeRates, type Fault } from '../devices/fake/device.js';
export { FakeDriver, type FakeDriverOptions } from '../devices/fake/driver.js';
export { VirtualDriver, type VirtualDriverOptions } from '../devices/virtual/driver.js';
export type { Firmware, Mishap } from '../devices/virtual/mishaps.js';
export type { Thermal } from '../devices/virtual/thermal.js';
export type { VirtualUnitOptions } from '../devices/virtual/unit.js';
export type { Action, Edge, FaultPlanInput } from '../faults/fault-plan.js';
export { type StruckPlace, Switchboard, type SwitchboardOptions } from '../faults/switchboard.js';
export type { ContractCase } from '../testing/contract-case.js';
export { type DeviceContractOptions, deviceContract } from '../testing/device-contract.js';
export { contractProtocol, doublingNetwork } from '../testing/doubling-network.js';
export { evaluatorContract } from '../testing/evaluator-contract.js';
export { modelContract } from '../testing/model-contract.js';
export { type OpenedPlugin, openPlugin } from '../testing/open-plugin.js';
export { samplerContract } from '../testing/sampler-contract.js';
export { spaceContract } from '../testing/space-contract.js';
export { startTestDaemon, type TestDaemon, type TestDaemonOptions } from '../testing/test-daemon.js';
export { type VirtualFleetOptions, virtualFleet } from '../testing/virtual-fleet.js';
