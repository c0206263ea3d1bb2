import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { LayercastError } from '../../image/errors.ts'
import { mergeConfig, tableAt, type Table } from './merge.ts'
import { migrateToV3 } from './migrate.ts'

/** Where containerd looks without `--config`. */
export const DEFAULT_CONFIG_PATH = '/etc/containerd/config.toml'

/** One file that took part. */
export interface ConfigFile {
  path: string
  /** The `version` that it states; 1 where it states none. */
  version: number
  /** Keys of CRI's containerd section that containerd 2 loses as it migrates this file. */
  lost: string[]
  /** Plugins whose section this file replaced whole, as containerd 1 does; sorted. */
  replaced: string[]
}

/** A file that another one imports by its name and that is not there: the daemon would not start again. */
export interface MissingImport {
  path: string
  importedBy: string
}

export interface LoadedConfig {
  files: ConfigFile[]
  missingImports: MissingImport[]
  /** All files merged, in the daemon's order and by the daemon's rules. */
  merged: Table
}

function readToml(path: string): Table {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new LayercastError('FILE_NOT_FOUND', `cannot read containerd's configuration ${path}`, {
      cause,
      fix: 'Name the file that the daemon was started with by --containerd-config.',
      detail: { path },
    })
  }
  try {
    return parse(text) as Table
  } catch (cause) {
    const where = cause instanceof TomlError ? ` at line ${cause.line}, column ${cause.column}` : ''
    throw new LayercastError('NODE_CONFIG_INVALID', `${path} is not valid TOML${where}`, {
      cause,
      fix: 'Mend the file; containerd would not start from it either.',
      detail: { path },
    })
  }
}

function resolveImports(parent: string, imports: unknown, daemonMajor: number): string[] {
  if (!Array.isArray(imports)) return []
  return imports
    .filter((item): item is string => typeof item === 'string')
    .flatMap((item) => {
      const glob = item.includes('*')
      // containerd 1 leaves a relative glob to the daemon's working directory, which is / under systemd.
      const base = glob && daemonMajor < 2 ? '/' : dirname(parent)
      const path = isAbsolute(item) ? normalize(item) : join(base, item)
      return glob ? globSync(path).toSorted() : [path]
    })
}

/**
 * Loads containerd's configuration from a file and all that it imports, breadth first, each file once, later files winning.
 * @param path the main file
 * @param daemonMajor the daemon's major version: containerd 2 migrates each file to version 3 before it merges it
 * @throws FILE_NOT_FOUND for the main file, NODE_CONFIG_INVALID
 */
export function loadConfigFiles(path: string, daemonMajor: number): LoadedConfig {
  const files: ConfigFile[] = []
  const missingImports: MissingImport[] = []
  const merged: Table = { plugins: {}, proxy_plugins: {} }
  const seen = new Set<string>()
  const pending = [{ path, importedBy: '' }]
  for (let item = pending.shift(); item !== undefined; item = pending.shift()) {
    const next = item.path
    if (seen.has(next)) continue
    seen.add(next)
    if (item.importedBy !== '' && !existsSync(next)) {
      missingImports.push(item)
      continue
    }
    const config = readToml(next)
    const stated = Number(config['version'] ?? 0)
    const version = Number.isSafeInteger(stated) && stated > 0 ? stated : 1
    const lost = daemonMajor >= 2 && version < 3 ? migrateToV3(config) : []
    const earlier = tableAt(merged, 'plugins') ?? {}
    const replaced = daemonMajor >= 2 ? [] : Object.keys(tableAt(config, 'plugins') ?? {}).filter((id) => id in earlier)
    mergeConfig(merged, config, daemonMajor)
    files.push({ path: next, version, lost, replaced: replaced.toSorted() })
    const imports = resolveImports(next, config['imports'], daemonMajor)
    pending.push(...imports.map((imported) => ({ path: imported, importedBy: next })))
  }
  return { files, missingImports, merged }
}
