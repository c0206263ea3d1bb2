/** A kubelet that leaves nothing on the machine. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What the kubelet sets these variables of the kernel to, where they are not so already. */
const KERNEL: Readonly<Record<string, number>> = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
}

interface PrivateKubelet {
  /** Where its configuration is read from, and how it finds the API server: the caller writes both. */
  config: string
  kubeconfig: string
  podLogs: string
  command: { program: string; args: string[] }
}

/**
 * The command that starts a kubelet in a mount namespace of its own: with file systems in memory over the places that no option
 * moves, and plain files over the variables of the kernel that it would set.
 */
export async function privateKubelet(program: string, directory: string, node: string): Promise<PrivateKubelet> {
  const [kernel, pki, root] = ['kernel', 'pki', 'kubelet'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  const config = join(directory, 'kubelet.json')
  const kubeconfig = join(directory, 'kubeconfig.json')
  const steps = ['mount -t tmpfs kubelet /var/lib', 'mount -t tmpfs kubelet /var/log']
  for (const [variable, value] of Object.entries(KERNEL)) {
    const file = join(kernel, variable)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, `${value}\n`)
    steps.push(`mount --bind ${file} /proc/sys/${variable}`)
  }
  await mkdir(root)
  const args = [
    `--config=${config}`,
    `--kubeconfig=${kubeconfig}`,
    `--root-dir=${root}`,
    `--cert-dir=${pki}`,
    `--hostname-override=${node}`,
    '--v=2',
  ]
  const script = [...steps, `exec ${[program, ...args].join(' ')}`].join(' && ')
  return {
    config,
    kubeconfig,
    podLogs: podLogsOf(directory),
    command: { program: 'unshare', args: ['--mount', '--propagation', 'slave', 'sh', '-c', script] },
  }
}

const podLogsOf = (directory: string): string => join(directory, 'pod-logs')

/**
 * Its configuration: control groups of version 1 will do, and none is made for classes of pods; nothing is evicted or
 * collected, however full the machine is.
 */
export function kubeletConfig(directory: string, endpoint: string, port: number, healthPort: number): string {
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${endpoint}`,
    address: '127.0.0.1',
    port,
    healthzBindAddress: '127.0.0.1',
    healthzPort: healthPort,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    podLogsDir: podLogsOf(directory),
    volumePluginDir: join(directory, 'volume-plugins'),
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    oomScoreAdj: 0,
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    localStorageCapacityIsolation: false,
    imageGCHighThresholdPercent: 100,
    evictionHard: Object.fromEntries(
      ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree'].map(
        (signal) => [signal, '0%'],
      ),
    ),
    syncFrequency: '5s',
  })
}
