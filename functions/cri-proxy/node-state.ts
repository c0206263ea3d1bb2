/**
 * What the node is known to be, kept between calls: the backend, its configuration, the plans of its images. All of it is
 * forgotten when containerd goes: what comes back may be another version, with another configuration.
 */
import { hasCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { readRunningConfig } from '../node/containerd-config/running-config.ts'
import { daemonOf } from '../node/daemon.ts'
import { recordOrNone } from '../node/or-none.ts'
import type { Backend, SnapshotterPlugin } from '../node/ports.ts'
import type { Planned } from '../plan/document.ts'
import { plan } from '../plan/plan.ts'
import { findImage } from '../runner/images/find.ts'
import { imageInput, type NamedImage } from '../runner/images/named-image.ts'
import { findSandboxImage } from '../runner/runtime-handlers/sandbox-image.ts'
import { resolveRuntimeHandlers } from '../runner/runtime-handlers/targets.ts'

/** For how long a name is taken to lead to the same image, and a configuration to be the daemon's. */
const FRESH_MS = 5000
/** Plans that are kept; a node has some hundreds of images. */
const MOST_PLANS = 2000

export interface NodeStateOptions {
  /** Connects to containerd, in CRI's namespace. */
  connect(): Promise<Backend>
  /** The file of containerd's configuration; the one that the daemon was started with where absent. */
  configPath?: string | undefined
}

/** The snapshotter that a runtime handler's containers are on. */
export interface HandlerSnapshotter {
  snapshotter: string
  /** Whether it is CRI's default snapshotter, under which every pull unpacks. */
  isDefault: boolean
}

/** A plan, and what its name led to when it was made. */
interface Known {
  planned: Planned
  target: Digest
}

interface Fresh<T> {
  value: Promise<T>
  until: number
}

/** A connection to containerd. */
interface Connected {
  backend: Promise<Backend>
  /** Pieces of work that use it. */
  users: number
}

export class NodeState {
  readonly #options: NodeStateOptions
  #connected: Connected | undefined
  readonly #handlers = new Map<string, Fresh<HandlerSnapshotter>>()
  readonly #plans = new Map<string, Fresh<Known>>()
  readonly #plugins = new Map<'all', Fresh<SnapshotterPlugin[]>>()
  readonly #sandboxImages = new Map<'all', Fresh<string | undefined>>()

  constructor(options: NodeStateOptions) {
    this.#options = options
  }

  /**
   * Runs `work`, once more with a new connection where the kept one turns out to be dead. CONTAINERD_UNREACHABLE, and the errors
   * of `work`.
   */
  async run<T>(work: (backend: Backend) => Promise<T>): Promise<T> {
    const connected = this.#connection()
    try {
      return await this.#use(connected, work)
    } catch (error) {
      if (!hasCode(error, 'CONTAINERD_UNREACHABLE')) throw error
      // Others may have found out before, and work with a new one already.
      if (this.#connected === connected) this.forget()
      return await this.#use(this.#connection(), work)
    }
  }

  /** HANDLER_NOT_FOUND, NODE_CONFIG_INVALID, FILE_NOT_FOUND, SNAPSHOTTER_NOT_FOUND, SNAPSHOTTER_NOT_READY, CONTAINERD_*. */
  async snapshotterOf(backend: Backend, handler: string): Promise<HandlerSnapshotter> {
    return await kept(this.#handlers, handler, async () => {
      const { configPath } = this.#options
      const { targets, running } = await resolveRuntimeHandlers(backend, { handlers: [handler], configPath })
      const [target] = targets
      if (target?.error !== undefined) throw target.error
      const snapshotter = target?.snapshotter ?? running.config.snapshotter
      return { snapshotter, isDefault: snapshotter === running.config.snapshotter }
    })
  }

  /** The pause image; undefined where the node does not have it. Errors as `readRunningConfig` and `findSandboxImage`. */
  async sandboxImage(backend: Backend): Promise<string | undefined> {
    const name = await kept(this.#sandboxImages, 'all', async () => {
      const { config } = await readRunningConfig(daemonOf(backend), this.#options.configPath)
      return (await findSandboxImage(backend, config)).image?.reference
    })
    // containerd pulls it for this pod: the next one is to find it.
    if (name === undefined) this.#sandboxImages.clear()
    return name
  }

  /**
   * The plan of an image that CRI names so, for a snapshotter. Errors as `findImage` and `plan`.
   * @param said the image as the pod's author wrote it, which names the plan where it leads to the same image; empty where the
   *   call does not say
   */
  async planOf(backend: Backend, image: string, snapshotter: string, said = ''): Promise<Planned> {
    if (this.#plans.size > MOST_PLANS) this.#plans.clear()
    const look = async (): Promise<Known> => {
      const plugins = await kept(this.#plugins, 'all', () => backend.snapshotters())
      const features = plugins.find(({ name }) => name === snapshotter)?.osFeatures
      const found = await findImage(backend, image, { features })
      const named = said === '' || said === image ? undefined : await imageOrNone(backend, said, features)
      const chosen = named?.descriptor.digest === found.descriptor.digest ? named : found
      return { planned: plan({ ...imageInput(chosen), snapshotter }), target: chosen.target.digest }
    }
    // An ID is looked for in the documents of every image: while its name leads to the same image, once is enough.
    const isStill = async ({ planned, target }: Known): Promise<boolean> => {
      return (await recordOrNone(backend.images, planned.plan.reference))?.target.digest === target
    }
    return (await kept(this.#plans, `${snapshotter} ${image} ${said}`, look, isStill)).planned
  }

  /**
   * Forgets all that was seen, and ends the connection once nothing uses it any more: an unpack under way waits out a restart of
   * containerd on the connection that it has.
   */
  forget(): void {
    const old = this.#connected
    this.#connected = undefined
    this.#plugins.clear()
    this.#sandboxImages.clear()
    this.#handlers.clear()
    this.#plans.clear()
    if (old?.users === 0) void end(old)
  }

  #connection(): Connected {
    if (this.#connected !== undefined) return this.#connected
    const connected: Connected = { backend: this.#options.connect(), users: 0 }
    this.#connected = connected
    // Whoever waits for it is told; the next one tries again.
    connected.backend.catch(() => {
      if (this.#connected === connected) this.#connected = undefined
    })
    return connected
  }

  async #use<T>(connected: Connected, work: (backend: Backend) => Promise<T>): Promise<T> {
    connected.users++
    try {
      return await work(await connected.backend)
    } finally {
      connected.users--
      if (connected.users === 0 && this.#connected !== connected) await end(connected)
    }
  }
}

async function end({ backend }: Connected): Promise<void> {
  const connected = await backend.catch(() => undefined)
  await connected?.close()
}

async function imageOrNone(
  backend: Backend,
  image: string,
  features: readonly string[] | undefined,
): Promise<NamedImage | undefined> {
  try {
    return await findImage(backend, image, { features })
  } catch (error) {
    if (hasCode(error, 'IMAGE_NOT_FOUND', 'IMAGE_AMBIGUOUS', 'REFERENCE_INVALID', 'DIGEST_INVALID')) return undefined
    throw error
  }
}

/**
 * What is known under a key, while it is fresh. A failure is not kept.
 * @param isStill whether what is not fresh any more is true still, where that costs less than a new look
 */
async function kept<T>(
  values: Map<string, Fresh<T>>,
  key: string,
  look: () => Promise<T>,
  isStill?: (known: T) => Promise<boolean>,
): Promise<T> {
  const known = values.get(key)
  if (known !== undefined && known.until > performance.now()) return await known.value
  const again = async (): Promise<T> => {
    const old = known === undefined || isStill === undefined ? undefined : await known.value.catch(() => undefined)
    return old !== undefined && (await isStill?.(old)) === true ? old : await look()
  }
  const value = again()
  values.set(key, { value, until: performance.now() + FRESH_MS })
  try {
    return await value
  } catch (error) {
    if (values.get(key)?.value === value) values.delete(key)
    throw error
  }
}
