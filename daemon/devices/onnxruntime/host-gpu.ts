import { readdirSync, readFileSync } from 'node:fs';
import { readNvidiaGpus } from './nvidia-smi.js';

export interface HostGpu {
  readonly name: string;
  /** Stays the same across restarts: the driver's own id, or the place on the bus. */
  readonly uuid: string;
  readonly nvidia: boolean;
  /** It computes on the CPU: right results, no speed. */
  readonly software: boolean;
}

const vendors: Readonly<Record<string, string>> = {
  '0x10de': 'NVIDIA',
  '0x1002': 'AMD',
  '0x8086': 'Intel',
  '0x13b5': 'Arm',
  '0x5143': 'Qualcomm',
};

/** What a GPU provider may need of the daemon's environment; the rest stays out of the session processes. */
const passed = [
  'VK_ICD_FILENAMES',
  'VK_DRIVER_FILES',
  'LD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'XDG_RUNTIME_DIR',
  'PATH',
] as const;

/** Software drivers that a Vulkan loader would take in place of a GPU that it cannot use, without a word. */
const softwareDrivers = '*lvp*,*lavapipe*,*swrast*,*swiftshader*';

export function gpuEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const given = Object.fromEntries(
    passed.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
  const chosen = given.VK_ICD_FILENAMES ?? given.VK_DRIVER_FILES;
  return chosen === undefined ? { ...given, VK_LOADER_DRIVERS_DISABLE: softwareDrivers } : given;
}

/** The GPU that a provider would use under this environment; null where there is none. */
export async function findHostGpu(
  provider: string,
  environment: Readonly<Record<string, string>>,
  { signal, nvidiaSmi }: { readonly signal: AbortSignal; readonly nvidiaSmi?: string },
): Promise<HostGpu | null> {
  // What Vulkan is told to use says nothing of CUDA.
  const icd =
    provider === 'webgpu' ? (environment.VK_DRIVER_FILES ?? environment.VK_ICD_FILENAMES ?? '') : '';
  const software = /(swiftshader|lvp|lavapipe|llvmpipe)/i.exec(icd)?.[1]?.toLowerCase();
  if (software) {
    const name = software === 'swiftshader' ? 'SwiftShader' : 'lavapipe';
    return { name: `${name} (software)`, uuid: name.toLowerCase(), nvidia: false, software: true };
  }
  const [nvidia] = await readNvidiaGpus({ signal, ...(nvidiaSmi !== undefined && { program: nvidiaSmi }) });
  if (nvidia) return { name: nvidia.name, uuid: nvidia.uuid, nvidia: true, software: false };
  if (process.platform !== 'linux')
    return {
      name: `GPU of this ${process.platform} host`,
      uuid: process.platform,
      nvidia: false,
      software: false,
    };
  return renderNode();
}

/** Linux: a render node has a real GPU behind it. Elsewhere only the provider itself can tell. */
function renderNode(folder = '/sys/class/drm'): HostGpu | null {
  try {
    for (const node of readdirSync(folder).filter((name) => name.startsWith('renderD'))) {
      const read = (file: string): string => readFileSync(`${folder}/${node}/device/${file}`, 'utf8').trim();
      const [vendor, device] = [read('vendor'), read('device')];
      const name = `${vendors[vendor] ?? vendor} GPU ${device}`;
      return { name, uuid: `${vendor}:${device}:${node}`, nvidia: false, software: false };
    }
  } catch {
    // No such folder, or a virtual node without a device.
  }
  return null;
}
