import type { Backend } from '../../../../functions/node/ports.ts'

/** One call of a port, as it comes by. */
interface Call {
  /** Such as `snapshotter.prepare`. */
  name: string
  args: readonly unknown[]
}

/** Stands around a call: may let it go on, do something before or after, answer for it, or fail. */
export type Around = (call: Call, goOn: () => Promise<unknown>) => Promise<unknown>

const STREAMS = new Set(['list', 'read'])

/** The same backend, also under a lease, with every call of its ports passing through `around`. */
export function intercept(backend: Backend, around: Around): Backend {
  return {
    ...backend,
    kind: backend.kind,
    version: () => backend.version(),
    snapshotters: () => backend.snapshotters(),
    close: () => backend.close(),
    images: wrap('images', backend.images, around),
    content: wrap('content', backend.content, around),
    leases: wrap('leases', backend.leases, around),
    ...(backend.diffService && { diffService: wrap('diffService', backend.diffService, around) }),
    snapshotter: (name) => wrap('snapshotter', backend.snapshotter(name), around),
    withLease: (id) => intercept(backend.withLease(id), around),
  }
}

/** The same port, with its calls passing through `around`, but for streams. */
export function wrap<T extends object>(port: string, target: T, around: Around): T {
  return new Proxy(target, {
    get(_, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      if (typeof property === 'symbol' || STREAMS.has(property)) return value.bind(target) as unknown
      return (...args: unknown[]) =>
        around({ name: `${port}.${property}`, args }, () => Promise.resolve(Reflect.apply(value, target, args)))
    },
  })
}
