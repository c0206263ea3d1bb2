import { accessSync, constants } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { findDaemon } from '../../../node/containerd-config/daemon.ts'
import { DEFAULT_CONFIG_PATH, loadConfigFiles } from '../../../node/containerd-config/files.ts'
import { stringAt, tableAt } from '../../../node/containerd-config/merge.ts'
import type { Backend } from '../../../node/ports.ts'
import { invalid } from '../errors.ts'
import { apiBase } from './api-base.ts'
import { readHostDirectory, type HostEntry } from './hosts-file.ts'

/** A host that a registry's images may be had from. */
export interface RegistryHost extends Omit<HostEntry, 'base'> {
  base: URL
  /** Under which credentials for it are kept. */
  domain: string
  /** Whether it stands for another registry, and must be told for which. */
  mirror: boolean
}

// containerd 2's own, where its configuration names none; the older ones have none, and the directories mean the same.
const DEFAULT_ROOTS = ['/etc/containerd/certs.d', '/etc/docker/certs.d']
// Whose rules only decide over how files are merged.
const NEWEST = { major: 2, minor: 4, patch: 0 }
const CRI_SECTIONS = ['io.containerd.cri.v1.images', 'io.containerd.grpc.v1.cri']

/**
 * Where this node's containerd has its registries' hosts.toml: CRI's `config_path`, of which there may be several.
 * @param configPath the daemon's configuration; its default file where it is left out, whether or not it is there
 * @throws NODE_CONFIG_INVALID
 */
export function hostRoots(configPath = DEFAULT_CONFIG_PATH): string[] {
  if (!readable(configPath)) return DEFAULT_ROOTS
  const plugins = tableAt(loadConfigFiles(configPath, NEWEST).merged, 'plugins')
  const [path] = CRI_SECTIONS.flatMap((name) => stringAt(tableAt(plugins, name, 'registry'), 'config_path') ?? [])
  return path === undefined ? DEFAULT_ROOTS : path.split(':').filter((root) => root !== '')
}

/** The same for the daemon behind a backend, which may have been started with another file. NODE_CONFIG_INVALID. */
export async function hostRootsOf(backend: Backend | undefined): Promise<string[]> {
  const daemon = backend?.daemon === undefined ? undefined : await findDaemon(backend.daemon)
  return hostRoots(daemon?.configPath)
}

/** Whoever may not read the daemon's configuration has the default directories. */
function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return false
    throw error
  }
}

/**
 * The hosts to ask for a registry's images, in order, as containerd finds them: below the first root that has a directory
 * for it (`HOST_PORT_`, `HOST:PORT` or `_default`); the registry itself where none has. SOURCE_INVALID.
 */
export async function hostsFor(domain: string, roots: readonly string[]): Promise<RegistryHost[]> {
  const directory = await findDirectory(domain, roots)
  const entries = directory === undefined ? [{ ...DEFAULT_ENTRY }] : await readHostDirectory(directory)
  const own = apiBase(domain)
  return entries.map((entry) => {
    const base = entry.base ?? own
    const mirror = base.host !== own.host
    return Object.assign(entry, { base, mirror, domain: mirror ? base.host : domain })
  })
}

const DEFAULT_ENTRY: HostEntry = {
  base: undefined,
  pull: true,
  resolve: true,
  headers: [],
  trust: undefined,
  dialMs: undefined,
}

async function findDirectory(domain: string, roots: readonly string[]): Promise<string | undefined> {
  const names = [...new Set([domain.replace(/:([^:]*)$/, '_$1_'), domain, '_default'])]
  for (const path of roots.flatMap((root) => names.map((name) => join(root, name)))) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw invalid(path, `cannot be looked into: ${error.message}`, 'Make it readable for this user.', error)
    })
    if (found !== undefined) return path
  }
  return undefined
}
