/** The daemon of a backend, for code that needs one: it reads containerd's configuration, or asks CRI. */
import { LayercastError } from '../errors.ts'
import type { Backend, Daemon } from './ports.ts'

/** The daemon of a backend. USAGE where it has none, as the embedded one. */
export function daemonOf({ daemon, kind }: Backend): Daemon {
  if (daemon !== undefined) return daemon
  throw new LayercastError('USAGE', `the ${kind} backend has no daemon, and only containerd will do`, {
    fix: 'Name its socket with --address, or say --backend containerd.',
  })
}
