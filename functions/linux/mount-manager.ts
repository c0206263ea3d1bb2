/**
 * Lists of mounts as containerd's mount manager (2.2 and later) reads them: where a type has a prefix such as `format/`,
 * every mount has a mount point of its own, later ones may name the points of earlier ones in templates, and the last is
 * the tree. The erofs snapshotter answers such lists: one mount for each layer, and an overlay over them.
 */
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { LayercastError } from '../errors.ts'
import type { Mount } from './mount-list.ts'
import { mountAll, type Unmount } from './mount.ts'

/** What a prefix of a mount's type asks for; `mkdir` speaks through options, which are refused as they are parsed. */
const PREFIXES: ReadonlySet<string> = new Set(['format', 'mkdir'])

const TEMPLATE = /\{\{-?\s*([a-z]+)((?:\s+\d+)*)\s*-?\}\}/g

/** Whether the list is for a mount manager, and not for mount(2) as it stands. */
export function isManaged(mounts: readonly Mount[]): boolean {
  return mounts.some(({ type }) => type.includes('/'))
}

/**
 * As `mountAll`, and resolves a managed list first: its lower mounts go below `staging`, a directory that is made, and
 * removed with the last of them. Errors: those of `mountAll`; FAILED_PRECONDITION for what containerd alone can do
 * (making a file system, verity), and for templates that name no mount.
 */
export async function mountResolved(mounts: readonly Mount[], target: string, staging: string): Promise<Unmount> {
  if (!isManaged(mounts)) return mountAll(mounts, target)
  const undo: Unmount[] = []
  const unmount = async (): Promise<void> => {
    for (let last = undo.at(-1); last !== undefined; last = undo.at(-1)) {
      await last()
      undo.pop()
    }
  }
  try {
    mkdirSync(staging, { mode: 0o700 })
    undo.push(async () => rmdirSync(staging))
    const points: MountedAt[] = []
    for (const [index, mount] of mounts.entries()) {
      const resolved = resolveMount(mount, points)
      let point = target
      if (index < mounts.length - 1) {
        point = join(staging, String(index))
        mkdirSync(point, { mode: 0o700 })
        const made = point
        undo.push(async () => rmdirSync(made))
      }
      undo.push(await mountAll([resolved], point))
      points.push({ mount: resolved, point })
    }
  } catch (error) {
    await unmount()
    throw error
  }
  return unmount
}

/** A mount that is made, and where. */
export interface MountedAt {
  mount: Mount
  point: string
}

/** A mount as mount(2) takes it: its prefixes gone, its templates filled in from the mounts before it. */
export function resolveMount(mount: Mount, before: readonly MountedAt[]): Mount {
  const parts = mount.type.split('/')
  const type = parts.pop() ?? ''
  const unknown = parts.find((prefix) => !PREFIXES.has(prefix))
  if (unknown !== undefined) {
    throw refused(`the mount type ${mount.type} asks for ${unknown}/, which is containerd's to do`, mount)
  }
  if (!parts.includes('format')) return { ...mount, type }
  const fill = (text: string): string => fillIn(text, mount, before)
  return { type, source: fill(mount.source), target: fill(mount.target), options: mount.options.map(fill) }
}

function fillIn(text: string, mount: Mount, before: readonly MountedAt[]): string {
  const filled = text.replace(TEMPLATE, (whole, name: string, numbers: string) => {
    const [first = NaN, second = NaN, ...more] = numbers.trim().split(/\s+/).filter(Boolean).map(Number)
    const at = (index: number): MountedAt => {
      const found = before[index]
      if (found === undefined) throw refused(`${whole} names a mount that is not there`, mount)
      return found
    }
    const alone = Number.isNaN(second)
    if (more.length === 0 && alone && name === 'mount') return at(first).point
    if (more.length === 0 && alone && name === 'source') return at(first).mount.source
    if (more.length === 0 && alone && name === 'target') return at(first).mount.target
    if (more.length === 0 && !alone && name === 'overlay') {
      // Either way round, both ends included.
      const step = first <= second ? 1 : -1
      const count = Math.abs(second - first) + 1
      if (count > before.length) throw refused(`${whole} names mounts that are not there`, mount)
      return Array.from({ length: count }, (_, n) => at(first + n * step).point).join(':')
    }
    throw refused(`${whole} is a template that layercast does not know`, mount)
  })
  if (filled.includes('{{')) throw refused(`${text} is a template that layercast does not know`, mount)
  return filled
}

function refused(message: string, mount: Mount): LayercastError {
  return new LayercastError('FAILED_PRECONDITION', message, {
    fix: 'Apply the layer with containerd (--applier containerd).',
    detail: { mount },
  })
}
