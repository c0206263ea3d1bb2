/** A CRI client for the tests. */
import { connect } from 'node:net'
import { createClient, type Client } from '@connectrpc/connect'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { ContainerState, ImageService, NamespaceMode, RuntimeService } from './proto/gen/runtime_pb.js'

const BASE_URL = 'http://cri.sock'
/** Of pods and containers, so that those of several clients have names of their own. */
let count = 0

interface PodConfig {
  metadata: { name: string; uid: string; namespace: string; attempt: number }
  logDirectory: string
  linux: { securityContext: { namespaceOptions: { network: NamespaceMode } } }
}

/** A pod with its sandbox, and the runtime handler that it was started with. */
export interface Pod {
  readonly id: string
  readonly config: PodConfig
}

/** What a kubelet does to start pods, over containerd's CRI socket. `close` removes the pods that it ran. */
export class Cri {
  readonly #session: Http2SessionManager
  readonly #runtime: Client<typeof RuntimeService>
  readonly #images: Client<typeof ImageService>
  readonly #logs: string
  readonly #pods = new Set<string>()

  /**
   * @param logs a directory of the caller's for the containers' logs
   * @param timeoutMs the deadline of each call; none where it is left out
   */
  constructor(address: string, logs: string, timeoutMs?: number) {
    this.#session = new Http2SessionManager(BASE_URL, {}, { createConnection: () => connect(address) })
    const transport = createGrpcTransport({
      baseUrl: BASE_URL,
      sessionManager: this.#session,
      ...(timeoutMs !== undefined && { defaultTimeoutMs: timeoutMs }),
    })
    this.#runtime = createClient(RuntimeService, transport)
    this.#images = createClient(ImageService, transport)
    this.#logs = logs
  }

  /** Runs a sandbox on the host's network, so that no CNI is needed. */
  async runPod(runtimeHandler: string): Promise<Pod> {
    const name = `pod-${process.pid}-${++count}`
    const config: PodConfig = {
      metadata: { name, uid: name, namespace: 'default', attempt: 0 },
      logDirectory: this.#logs,
      linux: { securityContext: { namespaceOptions: { network: NamespaceMode.NODE } } },
    }
    const { podSandboxId } = await this.#runtime.runPodSandbox({ config, runtimeHandler })
    this.#pods.add(podSandboxId)
    return { id: podSandboxId, config }
  }

  /** Creates and starts a container of an image that is on the node; its ID. */
  async startContainer(pod: Pod, image: string, command: string[], runtimeHandler = ''): Promise<string> {
    const containerId = await this.createContainer(pod, image, command, runtimeHandler)
    await this.#runtime.startContainer({ containerId })
    return containerId
  }

  /** Creates a container of an image that is on the node; its ID. */
  async createContainer(pod: Pod, image: string, command: string[], runtimeHandler = ''): Promise<string> {
    const name = `container-${process.pid}-${++count}`
    const { containerId } = await this.#runtime.createContainer({
      podSandboxId: pod.id,
      sandboxConfig: pod.config,
      config: {
        metadata: { name, attempt: 0 },
        image: { image, runtimeHandler },
        command,
        logPath: `${name}.log`,
        linux: { securityContext: { namespaceOptions: { network: NamespaceMode.NODE } } },
      },
    })
    return containerId
  }

  async removeContainer(containerId: string): Promise<void> {
    await this.#runtime.removeContainer({ containerId })
  }

  /** The IDs of all containers. */
  async listContainers(): Promise<string[]> {
    const { containers } = await this.#runtime.listContainers({})
    return containers.map(({ id }) => id)
  }

  /** The runtime's version, as it says it. */
  async version(): Promise<string> {
    return (await this.#runtime.version({})).runtimeVersion
  }

  /** Runs a command in a running container. */
  async exec(containerId: string, cmd: string[]): Promise<{ stdout: string; stderr: string; exitCode: number }> {
    const answer = await this.#runtime.execSync({ containerId, cmd, timeout: 20n })
    const text = new TextDecoder()
    return { stdout: text.decode(answer.stdout), stderr: text.decode(answer.stderr), exitCode: answer.exitCode }
  }

  async isRunning(containerId: string): Promise<boolean> {
    const { status } = await this.#runtime.containerStatus({ containerId })
    return status?.state === ContainerState.CONTAINER_RUNNING
  }

  /** Whether CRI itself knows the image. */
  async hasImage(image: string): Promise<boolean> {
    return (await this.#images.imageStatus({ image: { image } })).image !== undefined
  }

  /** Pulls an image as the kubelet does, and unpacks it for the default runtime handler. */
  async pull(image: string, auth: { username: string; password: string }): Promise<void> {
    await this.#images.pullImage({ image: { image }, auth })
  }

  /** Removes all pods that there are, whoever ran them. How many there were. */
  async removeAllPods(): Promise<number> {
    const { items } = await this.#runtime.listPodSandbox({})
    for (const { id } of items) await this.#remove(id)
    return items.length
  }

  async removePod(pod: Pod): Promise<void> {
    await this.#remove(pod.id)
  }

  async #remove(podSandboxId: string): Promise<void> {
    await this.#runtime.stopPodSandbox({ podSandboxId })
    await this.#runtime.removePodSandbox({ podSandboxId })
    this.#pods.delete(podSandboxId)
  }

  async close(): Promise<void> {
    try {
      for (const id of this.#pods) await this.#remove(id)
    } finally {
      this.#session.abort()
    }
  }
}
