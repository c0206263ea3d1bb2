/** A containerd with the images of critest and a CRI proxy before it, for comparisons of what clients get straight and through. */
import { join } from 'node:path'
import { push, registryProgram, startRegistry, type Peer } from '../../../runner/sources/support/registry-daemon.ts'
import { startContainerd, type TestContainerd } from '../../../support/containerd/start.ts'
import { programs, type ContainerdVersion } from '../../../support/containerd/versions.ts'
import { critestImages, PAUSE_IMAGE } from '../../../support/cri/critest-images.ts'
import { startCriProxy, type CriProxy } from '../../../support/cri/proxy.ts'
import { criTools } from '../../../support/cri/tools.ts'
import type { BuiltImage } from '../../../support/images/image.ts'
import { busybox } from '../../../support/images/running.ts'
import { startProgram, type Ran, type Running } from './programs.ts'

/** A runtime handler whose snapshotter is not the default one: its chains are made when a container wants them. */
export const OTHER_HANDLER = 'other'

/** Whether a test takes the time for all that there is: `npm run test:matrix` does. */
export const isWhole = process.env['LAYERCAST_TEST_CONTAINERD'] !== undefined
export const tools = await criTools()

/** What a comparison on this containerd lacks; nothing where it can run. */
export async function lacking(version: ContainerdVersion): Promise<string> {
  const found = await programs(version)
  const missing = [
    ...('missing' in found ? [found.missing] : []),
    ...('missing' in tools ? [tools.missing] : []),
    ...(busybox === undefined ? ['busybox is not installed'] : []),
    ...(registryProgram === undefined ? ['docker-registry is not installed'] : []),
  ]
  return missing.join('; ')
}

export interface CriNode {
  containerd: TestContainerd
  /** The endpoint of containerd itself. */
  straight: string
  /** The endpoint of the proxy. */
  through: string
  proxy: CriProxy
  stop(): Promise<void>
}

/**
 * Starts one, with the sandbox image on it. All others it pulls from a private registry, whenever a client wants them.
 * @param isWanted which images the registry has besides; all of critest's where it is left out
 */
export async function startCriNode(
  version: ContainerdVersion,
  isWanted: (name: string) => boolean = () => true,
): Promise<CriNode> {
  const registry = await startRegistry()
  let containerd: TestContainerd | undefined
  try {
    for (const [name, image] of critestImages()) {
      if (name === PAUSE_IMAGE || isWanted(name)) await pushByName(registry, name, image)
    }
    containerd = await startContainerd({
      version,
      namespace: 'k8s.io',
      cri: {
        handlers: { [OTHER_HANDLER]: 'native' },
        sandboxImage: PAUSE_IMAGE,
        network: true,
        mirror: registry.host,
      },
    })
    const straight = `unix://${containerd.address}`
    const pulled = await crictl(straight, ['pull', PAUSE_IMAGE], containerd.files)
    if (pulled.status !== 0) throw new Error(pulled.stderr)
    const proxy = await startCriProxy(join(containerd.files, 'cri.sock'), containerd.address)
    const running = containerd
    return {
      containerd,
      straight,
      through: `unix://${proxy.address}`,
      proxy,
      async stop() {
        await proxy.stop()
        await running.stop()
        await registry.close()
      },
    }
  } catch (error) {
    await containerd?.stop()
    await registry.close()
    throw error
  }
}

/** Runs crictl to its end. */
export function crictl(endpoint: string, args: readonly string[], cwd: string): Promise<Ran> {
  return startCrictl(endpoint, args, cwd).ended
}

/** Starts crictl. @param until ends it once its standard output is so */
export function startCrictl(
  endpoint: string,
  args: readonly string[],
  cwd: string,
  until?: (stdout: string) => boolean,
): Running {
  if ('missing' in tools) throw new Error(tools.missing)
  // A configuration file of the machine is not to be read; its own limit of two seconds is short for a busy machine.
  const own = ['--config', '/dev/null', '--timeout', '60s', '--runtime-endpoint', endpoint]
  return startProgram(tools.crictl, [...own, ...args], { cwd, until })
}

async function pushByName(registry: Peer, name: string, image: BuiltImage): Promise<void> {
  const [, path, tag] = /^[^/]+\/(.+):([^:]+)$/.exec(name) ?? []
  if (path === undefined || tag === undefined) throw new Error(`not a whole name: ${name}`)
  await push(registry.host, image, path, tag)
}
