/** A Kubernetes node of the tests: a containerd, with a CRI proxy before it or without, and a kubelet. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { vi } from 'vitest'
import type { ContainerdBackend } from '../../../functions/node/containerd/backend.ts'
import { planOf } from '../../runner/unpack/support/plans.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'
import type { ContainerdVersion } from '../../support/containerd/versions.ts'
import { Cri } from '../../support/cri/client.ts'
import { startCriProxy, type CriProxy } from '../../support/cri/proxy.ts'
import type { BuiltImage } from '../../support/images/image.ts'
import { pauseImage } from '../../support/images/running.ts'
import type { KubernetesObject } from '../../support/kubernetes/api.ts'
import { NODE, startKubernetes, type TestKubernetes } from '../../support/kubernetes/start.ts'

export const PAUSE = 'example.com/pause:1'
const PODS = '/api/v1/namespaces/default/pods'
const CONTAINER = 'main'

/** What there is of a layer under a snapshotter. */
export type LayerState = 'labelled' | 'unlabelled' | 'missing'

interface NodeOptions {
  /** Put the CRI proxy between the kubelet and containerd. */
  proxied: boolean
  /** Runtime handlers and their snapshotters: each gets a RuntimeClass of its name. */
  handlers: Record<string, string>
  nydus: boolean
}

export interface TestNode {
  containerd: TestContainerd
  backend: ContainerdBackend
  kubernetes: TestKubernetes
  proxy: CriProxy | undefined
  /** Imports the image as `BASE:1`, unpacked for overlayfs alone; its name and its archive. */
  bring(image: BuiltImage, base: string): Promise<{ name: string; archive: string }>
  /** What there is of an image's chain, from the bottom. */
  chain(image: BuiltImage, name: string, snapshotter: string): Promise<LayerState[]>
  /** Creates a pod of one container, which runs the image's own command once. */
  createPod(pod: string, image: string, runtimeClass: string): Promise<void>
  /** The pod's phase once it has ended, or after this time. */
  phase(pod: string, atMostMs: number): Promise<string>
  /** What the pod's container has written to its standard output. */
  output(pod: string): Promise<string>
  /** What the kubelet has told of a pod: `REASON: MESSAGE`. */
  events(pod: string): Promise<string[]>
  /** Deletes these pods, and returns when containerd has nothing of any pod. */
  deletePods(pods: readonly string[]): Promise<void>
  stop(): Promise<void>
}

export async function startNode(
  version: ContainerdVersion,
  { proxied, handlers, nydus }: NodeOptions,
): Promise<TestNode> {
  const cri = { handlers, sandboxImage: PAUSE }
  const containerd = await startContainerd({ version, namespace: 'k8s.io', nydus, cri })
  let proxy: CriProxy | undefined
  let straight: Cri | undefined
  let kubernetes: TestKubernetes | undefined
  const stop = async (): Promise<void> => {
    await kubernetes?.stop()
    await straight?.close()
    await proxy?.stop()
    await containerd.stop()
  }
  try {
    const backend = await containerd.connect()
    const logs = join(containerd.directory, 'logs')
    await mkdir(logs)
    const client = (straight = new Cri(containerd.address, logs))
    const bring: TestNode['bring'] = async (image, base) => {
      const imported = await containerd.importImage(image, base, { snapshotter: 'overlayfs' })
      await vi.waitUntil(() => client.hasImage(imported.name), { timeout: 60_000 })
      return imported
    }
    await bring(pauseImage(), 'example.com/pause')
    if (proxied) proxy = await startCriProxy(join(containerd.files, 'cri.sock'), containerd.address)
    const { api, ...rest } = await startKubernetes(
      join(containerd.directory, 'kubernetes'),
      proxy?.address ?? containerd.address,
    )
    kubernetes = { api, ...rest }
    for (const name of Object.keys(handlers)) {
      await api.create('/apis/node.k8s.io/v1/runtimeclasses', {
        apiVersion: 'node.k8s.io/v1',
        kind: 'RuntimeClass',
        metadata: { name },
        handler: name,
      })
    }
    const status = async (pod: string): Promise<KubernetesObject> => api.get(`${PODS}/${pod}`)

    return {
      containerd,
      backend,
      kubernetes,
      proxy,
      bring,

      async chain(image, name, snapshotter) {
        const states: LayerState[] = []
        for (const { chainID } of planOf(image, { snapshotter, reference: name }).plan.layers) {
          states.push(await stateOf(backend, snapshotter, chainID, name))
        }
        return states
      },

      async createPod(pod, image, runtimeClass) {
        await api.create(PODS, podOf(pod, image, runtimeClass))
      },

      async phase(pod, atMostMs) {
        for (const deadline = Date.now() + atMostMs; ; await sleep(200)) {
          const phase = (await status(pod)).status?.phase ?? ''
          if (phase === 'Succeeded' || phase === 'Failed' || Date.now() > deadline) return phase
        }
      },

      async output(pod) {
        const uid = (await status(pod)).metadata?.uid ?? ''
        const log = await readFile(join(rest.podLogs, `default_${pod}_${uid}`, CONTAINER, '0.log'), 'utf8')
        // A line is `TIME STREAM F TEXT`.
        return log.replace(/^\S+ stdout \S /gm, '')
      },

      async events(pod) {
        const { items = [] } = await api.get('/api/v1/namespaces/default/events')
        return items
          .filter(({ involvedObject }) => involvedObject?.name === pod)
          .map(({ reason, message }) => `${reason}: ${message}`)
      },

      async deletePods(pods) {
        for (const pod of pods) await api.delete(`${PODS}/${pod}`)
        // The kubelet itself removes sandboxes once in a minute.
        await vi.waitUntil(async () => (await client.removeAllPods()) === 0, { timeout: 120_000, interval: 500 })
      },

      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function stateOf(
  backend: ContainerdBackend,
  snapshotter: string,
  chainID: string,
  name: string,
): Promise<LayerState> {
  try {
    const { labels } = await backend.snapshotter(snapshotter).stat(chainID)
    return labels['containerd.io/snapshot/cri.image-ref'] === name ? 'labelled' : 'unlabelled'
  } catch (error) {
    if ((error as { code?: string }).code === 'SNAPSHOT_NOT_FOUND') return 'missing'
    throw error
  }
}

function podOf(name: string, image: string, runtimeClassName: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      nodeName: NODE,
      runtimeClassName,
      hostNetwork: true,
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      containers: [{ name: CONTAINER, image, imagePullPolicy: 'Never' }],
    },
  }
}
