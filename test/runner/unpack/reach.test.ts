import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Mount } from '../../../functions/linux/mount-list.ts'
import { mountAll } from '../../../functions/linux/mount.ts'
import { canWriteTo } from '../../../functions/runner/unpack/reach.ts'

describe.skipIf(process.getuid?.() !== 0)(
  'what layercast writes itself, where no applier is asked for (as root)',
  () => {
    let place: string
    const at = (name: string): string => join(place, name)
    const mount = (type: string, source: string, ...options: string[]): Mount => ({ type, source, target: '', options })

    beforeAll(() => {
      place = mkdtempSync(join(tmpdir(), 'layercast-reach-'))
      for (const name of ['fs', 'work', 'lower', 'other:name', 'read-only']) mkdirSync(at(name))
      chmodSync(place, 0o700)
    })
    afterAll(() => rmSync(place, { recursive: true, force: true }))

    const overlay = (lower: string, upper = 'fs'): Mount =>
      mount('overlay', 'overlay', 'index=off', `workdir=${at('work')}`, `upperdir=${at(upper)}`, `lowerdir=${lower}`)

    test('bind mounts and overlays of which all is there, and lists that layercast resolves', async () => {
      expect(await canWriteTo([mount('bind', at('fs'), 'rw', 'rbind')])).toBe(true)
      expect(await canWriteTo([overlay(`${at('lower')}:${at('other:name').replace(':', '\\:')}`)])).toBe(true)
      const escaped = overlay(at('lower')).options.map((option) => option.replace(at('fs'), `${at('up')}\\,per\\:dir`))
      mkdirSync(at('up,per:dir'))
      expect(await canWriteTo([mount('overlay', 'overlay', ...escaped)])).toBe(true)
      const managed = { ...overlay('{{ mount 0 }}'), type: 'format/mkdir/overlay' }
      expect(await canWriteTo([mount('erofs', at('lower'), 'ro', 'loop'), managed])).toBe(true)
    })

    test('nothing of which a part is not there, in whatever place', async () => {
      expect(await canWriteTo([mount('bind', at('gone'), 'rw', 'rbind')])).toBe(false)
      expect(await canWriteTo([overlay(`${at('lower')}:${at('gone')}`)])).toBe(false)
      expect(await canWriteTo([overlay(at('lower'), 'gone')])).toBe(false)
      expect(await canWriteTo([mount('erofs', at('gone'), 'ro'), overlay(at('lower'))])).toBe(false)
      expect(await canWriteTo([mount('ext4', '/dev/mapper/gone')])).toBe(false)
    })

    test('nothing that a helper or containerd’s mount manager must mount', async () => {
      const helper = overlay(at('lower'))
      expect(await canWriteTo([{ ...helper, type: 'fuse3.fuse-overlayfs' }])).toBe(false)
      expect(await canWriteTo([{ ...helper, type: 'fuse.nydus-overlayfs' }])).toBe(false)
      expect(await canWriteTo([{ ...helper, type: 'mkfs/ext4' }])).toBe(false)
      expect(await canWriteTo([{ ...helper, options: [...helper.options, 'X-containerd.mkdir.path=/x'] }])).toBe(false)
    })

    test('nothing that is shown read-only here', async () => {
      const unmount = await mountAll([mount('tmpfs', 'none', 'ro')], at('read-only'))
      try {
        expect(await canWriteTo([mount('bind', at('read-only'), 'rw', 'rbind')])).toBe(false)
        expect(await canWriteTo([overlay(at('lower'), 'read-only')])).toBe(false)
      } finally {
        await unmount()
      }
    })
  },
)
