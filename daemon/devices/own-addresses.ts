import { hostname, type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

export type Interfaces = () => NodeJS.Dict<NetworkInterfaceInfo[]>;

/** Names that container engines and virtual machines give to their own bridges; phones reach none of them. */
const virtual = /^(docker|br-|veth|virbr|vmnet|vboxnet|lxc|lxd|podman|cni|flannel|cali)/;

/** This machine's IPv4 addresses on its networks, loopback left out; those of virtual bridges come last. */
export function lanAddresses(interfaces: Interfaces = networkInterfaces): string[] {
  const all = Object.entries(interfaces()).flatMap(([name, list]) =>
    (list ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address }) => ({ address, last: virtual.test(name) })),
  );
  return [...all.filter(({ last }) => !last), ...all.filter(({ last }) => last)].map(
    ({ address }) => address,
  );
}

/**
 * Names under which others may find this machine: its host name, and that in `.local`, which multicast DNS of the operating
 * system answers where it runs.
 */
export function hostNames(name = hostname()): string[] {
  // A name beyond DNS's own rules cannot stand in a certificate or an address.
  if (!/^(?=.{1,253}$)[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/i.test(name)) return [];
  return name.includes('.') ? [name] : [name, `${name}.local`];
}

/** An address as sockets tell it, without the prefix of IPv4 within IPv6. */
export const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '');

/** Whether a peer's address is this machine's own: loopback, or one of its interfaces'. */
export function isOwnAddress(peer: string, interfaces: Interfaces = networkInterfaces): boolean {
  const address = plainAddress(peer);
  if (/^127\./.test(address) || address === '::1') return true;
  return Object.values(interfaces()).some((list) => list?.some((one) => one.address === address));
}
