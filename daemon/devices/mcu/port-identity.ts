import type { BoardProfile } from './board-profile.js';

/** What the system tells of a serial port; the fields of serialport's PortInfo. */
export interface PortFacts {
  readonly path: string;
  readonly vendorId?: string | undefined;
  readonly productId?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly manufacturer?: string | undefined;
  readonly pnpId?: string | undefined;
  readonly locationId?: string | undefined;
}

/**
 * A name that stays with a board over unplugging, another socket, and a restart of the host: USB vendor, product,
 * serial number and interface. Adapters without a serial number go by the socket they are in; ports that are not USB
 * by their path. Never by the number in ttyACM0, which depends on who came first.
 */
export function portIdentity(port: PortFacts): string {
  const { path, vendorId, productId, serialNumber, pnpId, locationId } = port;
  if (!vendorId) return `path:${path}`;
  const usb = `usb:${vendorId.toLowerCase()}:${(productId ?? '').toLowerCase()}`;
  const serial = normalisedSerial(serialNumber);
  const where = serial || (locationId ? `at-${locationId}` : `path-${path}`);
  return `${usb}:${where}:${interfaceNumber(pnpId)}`;
}

/** Systems write one serial number in several ways: case, padding, separators, a prefix of the maker's name. */
const normalisedSerial = (serial: string | undefined): string =>
  (serial ?? '')
    .toLowerCase()
    .replace(/^.*[_ ](?=[0-9a-f]{6,}$)/, '')
    .replace(/[^0-9a-z]/g, '')
    .replace(/^0+(?=.)/, '');

/** `...-if02` on Linux, `...&MI_02...` on Windows; 0 where nothing is said. */
function interfaceNumber(pnpId: string | undefined): number {
  const found = /-if([0-9a-f]{2})|&MI_([0-9a-f]{2})/i.exec(pnpId ?? '');
  return Number.parseInt(found?.[1] ?? found?.[2] ?? '0', 16);
}

/** Whether a port's USB ids are among those that may lead to a board. */
export function mayLeadTo({ usb }: Pick<BoardProfile, 'usb'>, port: PortFacts): boolean {
  return usb.some(
    (wanted) =>
      isId(port.vendorId, wanted.vendorId) &&
      (wanted.productId === undefined || isId(port.productId, wanted.productId)) &&
      (wanted.interface === undefined || wanted.interface === interfaceNumber(port.pnpId)),
  );
}

/** Compares a USB id as a system spells it. */
export const isId = (told: string | undefined, wanted: string): boolean => told?.toLowerCase() === wanted;
