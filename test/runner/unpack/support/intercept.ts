import type { Backend } from '../../../../functions/node/ports.ts'

/** One call of a port, as it comes by. */
export interface Call {
  /** Such as `snapshotter.prepare`. */
  name: string
  args: readonly unknown[]
}

/** Stands around a call: may let it go on, do something before or after, answer for it, or fail. */
export type Around = (call: Call, goOn: () => Promise<unknown>) => Promise<unknown>

const STREAMS = new Set(['list', 'read'])

/**
 * The same backend, also under a lease, with every call of its ports passing through `around`.
 * @param onStream told of calls that give a stream, which go on as they are
 */
export function intercept(backend: Backend, around: Around, onStream?: (call: Call) => void): Backend {
  return {
    ...backend,
    kind: backend.kind,
    version: () => backend.version(),
    snapshotters: () =>
      around({ name: 'snapshotters', args: [] }, () => backend.snapshotters()) as ReturnType<Backend['snapshotters']>,
    close: () => backend.close(),
    images: wrap('images', backend.images, around, onStream),
    content: wrap('content', backend.content, around, onStream),
    leases: wrap('leases', backend.leases, around, onStream),
    ...(backend.diffService && { diffService: wrap('diffService', backend.diffService, around, onStream) }),
    snapshotter: (name) => wrap('snapshotter', backend.snapshotter(name), around, onStream),
    withLease: (id) => intercept(backend.withLease(id), around, onStream),
  }
}

/** The same port, with its calls passing through `around`, but for streams. */
export function wrap<T extends object>(port: string, target: T, around: Around, onStream?: (call: Call) => void): T {
  return new Proxy(target, {
    get(_, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      if (typeof property === 'symbol') return value.bind(target) as unknown
      if (STREAMS.has(property)) {
        return (...args: unknown[]) => {
          onStream?.({ name: `${port}.${property}`, args })
          return Reflect.apply(value, target, args) as unknown
        }
      }
      return (...args: unknown[]) =>
        around({ name: `${port}.${property}`, args }, () => Promise.resolve(Reflect.apply(value, target, args)))
    },
  })
}
