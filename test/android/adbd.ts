import { createPublicKey, type KeyObject, publicDecrypt, randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';

/**
 * An Android device as the adb server sees it, by adb's own protocol (protocol.txt of the Android source): connection,
 * authentication by RSA, streams, shell v2, sync, reverse. It stands in for a phone: what its shell says is scripted.
 */
export interface AdbdOptions {
  readonly port: number;
  /** What getprop says. */
  readonly properties: Readonly<Record<string, string>>;
  /** Whether the person at the screen trusts a computer that it does not know. */
  trust: boolean;
  /** Scripted answers of the shell; what it does not know ends with 127, as on a phone. */
  readonly shell: (
    command: string,
  ) => Promise<{ stdout?: string; stderr?: string; code?: number } | undefined>;
  /** Takes what is pushed, where the phone has a file system. */
  readonly onFile?: (path: string, bytes: Buffer, mode: number) => Promise<void>;
  /** Cuts the shell's answers into packets of so many bytes, as slow programs do. */
  readonly pieces?: number;
}

const A = {
  CNXN: 0x4e584e43,
  AUTH: 0x48545541,
  OPEN: 0x4e45504f,
  OKAY: 0x59414b4f,
  WRTE: 0x45545257,
  CLSE: 0x45534c43,
};
const version = 0x01000000;
const maxPayload = 256 * 1024;

interface Stream {
  readonly id: number;
  peer: number;
  /** Bytes that wait for the host's OKAY: one WRTE may be under way a stream. */
  readonly queue: Buffer[];
  waiting: boolean;
  closing: boolean;
  onData(data: Buffer): void;
  onClose(): void;
}

export class Adbd {
  readonly #options: AdbdOptions;
  readonly files = new Map<string, Buffer>();
  readonly #known = new Set<string>();
  readonly #hosts = new Set<Host>();
  #server: Server | null = null;
  offers = 0;
  signatures = 0;

  constructor(options: AdbdOptions) {
    this.#options = options;
  }

  async start(): Promise<number> {
    const server = createServer((socket) => {
      const host = new Host(socket, this, this.#options, this.#known);
      this.#hosts.add(host);
      socket.on('close', () => this.#hosts.delete(host));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#options.port, '127.0.0.1', resolve));
    return (server.address() as { port: number }).port;
  }

  /** As if the person at the screen had revoked all permissions: known keys are forgotten and no new one is trusted. */
  distrust(): void {
    this.#known.clear();
    this.#options.trust = false;
    this.unplug();
  }

  /** As if the cable were pulled. */
  unplug(): void {
    for (const host of this.#hosts) host.destroy();
  }

  async stop(): Promise<void> {
    this.unplug();
    await new Promise<void>((resolve) => (this.#server ? this.#server.close(() => resolve()) : resolve()));
    this.#server = null;
  }
}

/** One adb server's connection to the device. */
class Host {
  readonly #socket: Socket;
  readonly #device: Adbd;
  readonly #options: AdbdOptions;
  readonly #known: Set<string>;
  readonly #streams = new Map<number, Stream>();
  readonly #listeners = new Map<number, Server>();
  #token = randomBytes(20);
  #buffer = Buffer.alloc(0);
  #nextId = 1;
  #trusted = false;

  constructor(socket: Socket, device: Adbd, options: AdbdOptions, known: Set<string>) {
    this.#socket = socket;
    this.#device = device;
    this.#options = options;
    this.#known = known;
    socket.on('data', (data) => this.#receive(data));
    socket.on('error', () => {});
    socket.on('close', () => this.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
    for (const server of this.#listeners.values()) server.close();
    for (const stream of this.#streams.values()) stream.onClose();
    this.#listeners.clear();
    this.#streams.clear();
  }

  #send(command: number, arg0: number, arg1: number, data: Buffer = Buffer.alloc(0)): void {
    const header = Buffer.alloc(24);
    const sum = data.reduce((total, byte) => (total + byte) >>> 0, 0);
    for (const [i, word] of [command, arg0, arg1, data.length, sum, (command ^ 0xffffffff) >>> 0].entries())
      header.writeUInt32LE(word, 4 * i);
    this.#socket.write(Buffer.concat([header, data]));
  }

  #receive(data: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    while (this.#buffer.length >= 24) {
      const length = this.#buffer.readUInt32LE(12);
      if (this.#buffer.length < 24 + length) return;
      const [command, arg0, arg1] = [0, 4, 8].map((at) => this.#buffer.readUInt32LE(at)) as [
        number,
        number,
        number,
      ];
      const body = Buffer.from(this.#buffer.subarray(24, 24 + length));
      this.#buffer = this.#buffer.subarray(24 + length);
      this.#handle(command, arg0, arg1, body);
    }
  }

  #handle(command: number, arg0: number, arg1: number, body: Buffer): void {
    if (command === A.CNXN) {
      this.#send(A.AUTH, 1, 0, this.#token);
      return;
    }
    if (command === A.AUTH) {
      this.#authenticate(arg0, body);
      return;
    }
    if (!this.#trusted) return;
    if (command === A.OPEN) {
      this.#open(arg0, text(body));
      return;
    }
    const stream = this.#streams.get(arg1);
    if (!stream) {
      if (command === A.WRTE) this.#send(A.CLSE, 0, arg0);
      return;
    }
    if (command === A.WRTE) {
      this.#send(A.OKAY, stream.id, stream.peer);
      stream.onData(body);
    } else if (command === A.OKAY) {
      stream.peer = arg0;
      stream.waiting = false;
      this.#flush(stream);
    } else if (command === A.CLSE) {
      this.#streams.delete(stream.id);
      stream.onClose();
    }
  }

  /** A known key signs the token; an unknown one is offered, and the person at the screen decides. */
  #authenticate(kind: number, body: Buffer): void {
    if (kind === 2) {
      this.#device.signatures++;
      for (const key of this.#known)
        if (signed(toKey(key), this.#token, body)) {
          this.#welcome();
          return;
        }
      this.#token = randomBytes(20);
      this.#send(A.AUTH, 1, 0, this.#token);
      return;
    }
    this.#device.offers++;
    if (!this.#options.trust) return;
    this.#known.add(text(body).split(' ')[0] as string);
    this.#welcome();
  }

  #welcome(): void {
    this.#trusted = true;
    const { properties } = this.#options;
    const banner = `device::ro.product.name=emulated;ro.product.model=${properties['ro.product.model']};ro.product.device=emulated;features=shell_v2,cmd`;
    this.#send(A.CNXN, version, maxPayload, Buffer.from(`${banner}\0`));
  }

  #stream(peer: number): Stream {
    const stream: Stream = {
      id: this.#nextId++,
      peer,
      queue: [],
      waiting: false,
      closing: false,
      onData: () => {},
      onClose: () => {},
    };
    this.#streams.set(stream.id, stream);
    return stream;
  }

  #write(stream: Stream, data: Buffer): void {
    for (let at = 0; at < data.length; at += maxPayload)
      stream.queue.push(data.subarray(at, at + maxPayload));
    this.#flush(stream);
  }

  #end(stream: Stream): void {
    stream.closing = true;
    this.#flush(stream);
  }

  #flush(stream: Stream): void {
    if (stream.waiting || !this.#streams.has(stream.id)) return;
    const next = stream.queue.shift();
    if (next) {
      stream.waiting = true;
      this.#send(A.WRTE, stream.id, stream.peer, next);
    } else if (stream.closing) {
      this.#streams.delete(stream.id);
      this.#send(A.CLSE, stream.id, stream.peer);
    }
  }

  #open(peer: number, service: string): void {
    const stream = this.#stream(peer);
    this.#send(A.OKAY, stream.id, peer);
    const shell = /^shell(,[^:]*)?:([\s\S]*)$/.exec(service);
    if (shell) void this.#shell(stream, shell[2] ?? '');
    else if (service.startsWith('sync:')) this.#sync(stream);
    else if (service.startsWith('reverse:')) this.#reverse(stream, service.slice('reverse:'.length));
    else this.#end(stream);
  }

  async #shell(stream: Stream, command: string): Promise<void> {
    const answer = (await this.#options.shell(command)) ?? { stderr: `${command}: not found\n`, code: 127 };
    const packet = (kind: number, data: Buffer): Buffer => {
      const header = Buffer.alloc(5);
      header[0] = kind;
      header.writeUInt32LE(data.length, 1);
      return Buffer.concat([header, data]);
    };
    const { pieces = Number.POSITIVE_INFINITY } = this.#options;
    const packets = (kind: number, text = ''): Buffer[] => {
      const bytes = Buffer.from(text);
      const size = Math.min(pieces, Math.max(1, bytes.length));
      return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        packet(kind, bytes.subarray(i * size, (i + 1) * size)),
      );
    };
    this.#write(
      stream,
      Buffer.concat([
        ...packets(1, answer.stdout),
        ...packets(2, answer.stderr),
        packet(3, Buffer.from([answer.code ?? 0])),
      ]),
    );
    this.#end(stream);
  }

  /** SEND alone: what the daemon uses. */
  #sync(stream: Stream): void {
    let pending = Buffer.alloc(0);
    let file: { path: string; mode: number; parts: Buffer[] } | null = null;
    stream.onData = (data) => {
      pending = Buffer.concat([pending, data]);
      while (pending.length >= 8) {
        const [id, value] = [pending.toString('latin1', 0, 4), pending.readUInt32LE(4)];
        const body = id === 'SEND' || id === 'DATA' ? value : 0;
        if (pending.length < 8 + body) return;
        const content = Buffer.from(pending.subarray(8, 8 + body));
        pending = pending.subarray(8 + body);
        if (id === 'SEND') {
          const [path = '', mode] = content.toString('utf8').split(',');
          file = { path, mode: Number(mode) & 0o777, parts: [] };
        }
        if (id === 'DATA') file?.parts.push(content);
        else if (id === 'DONE' && file) {
          const { path, mode, parts } = file;
          const bytes = Buffer.concat(parts);
          const denied = path.startsWith('/system');
          if (!denied) this.#device.files.set(path, bytes);
          const words = Buffer.from(denied ? 'read-only file system' : '');
          const answer = Buffer.alloc(8);
          answer.write(denied ? 'FAIL' : 'OKAY', 'latin1');
          answer.writeUInt32LE(words.length, 4);
          const stored = denied ? undefined : this.#options.onFile?.(path, bytes, mode);
          void Promise.resolve(stored).then(() => this.#write(stream, Buffer.concat([answer, words])));
        } else if (id === 'QUIT') this.#end(stream);
      }
    };
  }

  #reverse(stream: Stream, request: string): void {
    const forward = /^forward:(?:norebind:)?tcp:(\d+);(tcp:\d+)$/.exec(request);
    const kill = /^killforward:tcp:(\d+)$/.exec(request);
    const answer = (words: string): void => {
      this.#write(stream, Buffer.from(words));
      this.#end(stream);
    };
    if (kill) {
      this.#listeners.get(Number(kill[1]))?.close();
      this.#listeners.delete(Number(kill[1]));
      answer('OKAY');
      return;
    }
    if (!forward) {
      answer('FAIL0007unknown');
      return;
    }
    const [port, target] = [Number(forward[1]), forward[2] as string];
    this.#listeners.get(port)?.close();
    const server = createServer((socket) => this.#tunnel(socket, target));
    this.#listeners.set(port, server);
    server.on('error', () => answer('FAIL0004busy'));
    server.listen(port, '127.0.0.1', () => answer('OKAY'));
  }

  /** A connection that a program on the phone made to a reversed port goes to the host as a stream of ours. */
  #tunnel(socket: Socket, target: string): void {
    const stream = this.#stream(0);
    stream.waiting = true;
    stream.onData = (data) => void socket.write(data);
    stream.onClose = () => void socket.end();
    socket.on('data', (data) => this.#write(stream, data));
    socket.on('close', () => this.#end(stream));
    socket.on('error', () => {});
    this.#send(A.OPEN, stream.id, 0, Buffer.from(`${target}\0`));
  }
}

const text = (body: Buffer): string => body.toString('utf8').replace(/\0+$/, '');

/** Android's own form of an RSA key: words, n0inv, modulus and rr little endian, exponent; base64. */
function toKey(encoded: string): KeyObject {
  const bytes = Buffer.from(encoded, 'base64');
  const words = bytes.readUInt32LE(0);
  const modulus = Buffer.from(bytes.subarray(8, 8 + 4 * words)).reverse();
  const exponent = Buffer.alloc(4);
  exponent.writeUInt32BE(bytes.readUInt32LE(8 + 8 * words));
  return createPublicKey({
    format: 'jwk',
    key: { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') },
  });
}

/** PKCS 1 with SHA-1, of which the token stands in for the digest. */
function signed(key: KeyObject, token: Buffer, signature: Buffer): boolean {
  try {
    const prefix = Buffer.from('3021300906052b0e03021a05000414', 'hex');
    return publicDecrypt(key, signature).equals(Buffer.concat([prefix, token]));
  } catch {
    return false;
  }
}
