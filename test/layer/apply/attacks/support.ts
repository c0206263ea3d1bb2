/** What an attack is made on, and what may come of it: the layer is refused, or it stays in its root. */
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { TarEntry } from '../../../support/images/entries.ts'
import { list, mountsBelow, useSandbox, type Sandbox } from '../../support/sandbox.ts'

export interface Scene {
  root: string
  /** Beside the root: what no layer may touch. */
  outside: string
}

export const UNTOUCHED = {
  names: ['secret', 'sub'],
  sub: [],
  secret: 'secret',
  mode: 0o600,
  uid: 0,
  links: 1,
  mounts: [],
}

export interface Attacks {
  sandbox: Sandbox
  /** A root, and beside it a file that every attack would reach, with content that must stay. */
  scene(): Scene
  outsideOf(scene: Scene): typeof UNTOUCHED
  /** What comes of a layer that is to be refused: the error, and the outside afterwards. */
  attempt(entries: readonly TarEntry[]): Promise<{ error: unknown; outside: typeof UNTOUCHED }>
  /** What comes of a layer that is taken: what is in the root then. Nothing outside has changed. */
  taken(entries: readonly TarEntry[]): Promise<Record<string, string | undefined>>
}

export function useAttacks(): Attacks {
  const sandbox = useSandbox()

  function scene(): Scene {
    const scenery = { root: sandbox.make('root'), outside: sandbox.make('outside') }
    sandbox.make('outside/sub')
    writeFileSync(join(scenery.outside, 'secret'), 'secret', { mode: 0o600 })
    return scenery
  }

  function outsideOf({ outside }: Scene): typeof UNTOUCHED {
    const { mode, uid, nlink } = lstatSync(join(outside, 'secret'))
    return {
      names: readdirSync(outside),
      sub: readdirSync(join(outside, 'sub')) as [],
      secret: readFileSync(join(outside, 'secret'), 'utf8'),
      mode: mode & 0o7777,
      uid,
      links: nlink,
      mounts: mountsBelow(sandbox.directory) as [],
    }
  }

  return {
    sandbox,
    scene,
    outsideOf,
    async attempt(entries) {
      const place = scene()
      const error = await sandbox.apply(place.root, entries).then(
        () => 'no error',
        (reason: unknown) => reason,
      )
      return { error, outside: outsideOf(place) }
    },
    async taken(entries) {
      const place = scene()
      await sandbox.apply(place.root, entries)
      expect(outsideOf(place)).toEqual(UNTOUCHED)
      const files = Object.entries(list(place.root)).filter(([, { kind }]) => kind !== 'directory')
      return Object.fromEntries(files.map(([path, { group }]) => [path, group]))
    },
  }
}

/** What `attempt` gives where the layer is refused with this code, for this reason. */
export const refusal = (code: string, message: RegExp): object => ({
  error: {
    code,
    message: expect.stringMatching(message),
    detail: { entry: expect.any(String), layer: expect.stringMatching(/^sha256:/) },
    fix: expect.any(String),
  },
  outside: UNTOUCHED,
})
