/** A control transfer. `type`: kind and recipient of the request, without its direction. */
export interface ControlRequest {
  readonly type: number;
  readonly request: number;
  readonly value: number;
  readonly index: number;
  readonly length: number;
  readonly toHost: boolean;
  readonly data?: Uint8Array;
}

/** The descriptors of a device. */
export interface UsbFacts {
  readonly vendorId: number;
  readonly productId: number;
  readonly manufacturer: string;
  readonly product: string;
  readonly serialNumber: string | null;
  readonly configuration: Uint8Array;
}

type Ask = (request: ControlRequest) => Promise<Uint8Array | 'stall'>;

const standard = { getDescriptor: 6, setAddress: 5, setConfiguration: 9 } as const;
const kinds = { device: 1, configuration: 2, text: 3 } as const;
const givenAddress = 5;
const classToInterface = 0x21;

/** A request of the class of serial ports, to the interface that controls one. */
export const lineRequest = {
  setCoding: (baud: number): ControlRequest => {
    const data = new Uint8Array(7);
    new DataView(data.buffer).setUint32(0, baud, true);
    data[6] = 8;
    return { type: classToInterface, request: 0x20, value: 0, index: 0, length: 7, toHost: false, data };
  },
  getCoding: { type: classToInterface, request: 0x21, value: 0, index: 0, length: 7, toHost: true },
  setLines: ({ dtr }: { readonly dtr: boolean }): ControlRequest => ({
    type: classToInterface,
    request: 0x22,
    value: dtr ? 3 : 0,
    index: 0,
    length: 0,
    toHost: false,
  }),
} as const;

/** Finds out about a device after a reset of the bus, in the order of a common host's requests, and opens its serial port. */
export async function describeUsbDevice(ask: Ask, onAddress: (address: number) => void): Promise<UsbFacts> {
  const read = async (kind: number, index: number, length: number, language = 0): Promise<Uint8Array> => {
    const value = (kind << 8) | index;
    const common = { type: 0, request: standard.getDescriptor, value, index: language };
    const answer = await ask({ ...common, length, toHost: true });
    if (answer === 'stall') throw new Error(`no descriptor ${kind}.${index}`);
    return answer;
  };
  const tell = async (request: number, value: number): Promise<void> => {
    if ((await ask({ type: 0, request, value, index: 0, length: 0, toHost: false })) === 'stall')
      throw new Error(`request ${request} was refused`);
  };
  const text = async (index: number): Promise<string> => {
    const [language] = new Uint16Array((await read(kinds.text, 0, 255)).slice(2).buffer);
    const bytes = await read(kinds.text, index, 255, language);
    return new TextDecoder('utf-16le').decode(bytes.subarray(2, bytes[0]));
  };
  await read(kinds.device, 0, 64);
  await tell(standard.setAddress, givenAddress);
  onAddress(givenAddress);
  const device = await read(kinds.device, 0, 18);
  const head = await read(kinds.configuration, 0, 9);
  const total = (head[2] ?? 0) | ((head[3] ?? 0) << 8);
  const configuration = await read(kinds.configuration, 0, total);
  const view = new DataView(device.buffer);
  const facts: UsbFacts = {
    vendorId: view.getUint16(8, true),
    productId: view.getUint16(10, true),
    manufacturer: await text(device[14] ?? 0),
    product: await text(device[15] ?? 0),
    serialNumber: device[16] ? await text(device[16]) : null,
    configuration,
  };
  await tell(standard.setConfiguration, 1);
  await ask(lineRequest.setCoding(115_200));
  await ask(lineRequest.setLines({ dtr: true }));
  return facts;
}
