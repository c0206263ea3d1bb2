import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { LayercastError } from '../../image/errors.ts'
import { mergeConfig, tableAt, type Table } from './merge.ts'
import { migrateNames, migrateToV3 } from './migrate.ts'
import type { DaemonVersion } from './daemon-version.ts'

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
 * The version that containerd 2.0 to 2.2 takes for that of all files: the last one's, where those of version 1 are renamed
 * to what was the version by then, at first the newest.
 */
export function wholeVersion(files: readonly Pick<ConfigFile, 'version'>[]): number {
  return files.findLast(({ version }) => version >= 2)?.version ?? 3
}

/** How a daemon puts files together; it changed twice. */
interface Rules {
  /** The daemon's major version: containerd 1 replaces a plugin's section by that of a later file. */
  major: number
  /** What is migrated to version 3: nothing by containerd 1, what all files came to by 2.0 to 2.2, each file from 2.3 on. */
  migrates: 'nothing' | 'whole' | 'files'
}

function rulesOf({ major, minor }: DaemonVersion): Rules {
  const whole = major === 2 && minor < 3
  return { major, migrates: major < 2 ? 'nothing' : whole ? 'whole' : 'files' }
}

/**
 * Loads containerd's configuration from a file and all that it imports, breadth first, each file once, later files winning.
 * @param path the main file
 * @param daemon the version of the daemon, whose rules are followed
 * @throws FILE_NOT_FOUND for the main file, NODE_CONFIG_INVALID
 */
export function loadConfigFiles(path: string, daemon: DaemonVersion): LoadedConfig {
  const rules = rulesOf(daemon)
  const loaded: LoadedConfig = { files: [], missingImports: [], merged: { plugins: {}, proxy_plugins: {} } }
  const seen = new Set<string>()
  const pending = [{ path, importedBy: '' }]
  for (let item = pending.shift(); item !== undefined; item = pending.shift()) {
    const next = item.path
    if (seen.has(next)) continue
    seen.add(next)
    if (item.importedBy !== '' && !existsSync(next)) {
      loaded.missingImports.push(item)
      continue
    }
    const config = readToml(next)
    loaded.files.push(takeIn(loaded.merged, config, next, rules))
    const imports = resolveImports(next, config['imports'], rules.major)
    pending.push(...imports.map((imported) => ({ path: imported, importedBy: next })))
  }
  if (rules.migrates === 'whole') migrateWhole(loaded)
  return loaded
}

function takeIn(merged: Table, config: Table, path: string, { major, migrates }: Rules): ConfigFile {
  const stated = Number(config['version'] ?? 0)
  const version = Number.isSafeInteger(stated) && stated > 0 ? stated : 1
  const lost = migrates === 'files' && version < 3 ? migrateToV3(config) : []
  if (migrates === 'whole' && version < 2) migrateNames(tableAt(config, 'plugins') ?? {})
  const earlier = tableAt(merged, 'plugins') ?? {}
  const replaced = major >= 2 ? [] : Object.keys(tableAt(config, 'plugins') ?? {}).filter((id) => id in earlier)
  mergeConfig(merged, config, major)
  return { path, version, lost, replaced: replaced.toSorted() }
}

function migrateWhole({ files, merged }: LoadedConfig): void {
  const last = files.at(-1)
  if (last === undefined || wholeVersion(files) !== 2) return
  // Which of the files states what is lost is not known any more; what is to be done is the same for all.
  last.lost.push(...migrateToV3(merged))
}
