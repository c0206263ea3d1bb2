/** Modes, owners, attributes, devices and kinds that a node must not take from a layer. */
import { describe, expect, test } from 'vitest'
import type { Ignored } from '../../../../functions/layer/apply/types.ts'
import { device, dir, file, hardlink, other, symlink } from '../../../support/images/entries.ts'
import { list } from '../../support/sandbox.ts'
import { refusal, useAttacks } from './support.ts'

const { sandbox, scene, attempt } = useAttacks()

describe('metadata', () => {
  test('setuid and setgid survive the change of owner', async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      file('suid', 'x', { mode: 0o6755, uid: 12, gid: 34 }),
      hardlink('same', 'suid', { mode: 0o6755, uid: 12, gid: 34 }),
      dir('sgid', { mode: 0o2775, gid: 34 }),
      file('sgid/child', ''),
      file('implied/x', ''),
    ])
    expect(list(place.root)).toMatchObject({
      suid: { mode: 0o6755, uid: 12, gid: 34 },
      same: { mode: 0o6755 },
      sgid: { mode: 0o2775, gid: 34 },
      'sgid/child': { gid: 0, mode: 0o644 },
    })
  })

  test('attributes of overlayfs itself are not taken from a layer', async () => {
    const place = scene()
    const ignored: string[] = []
    await sandbox.apply(
      place.root,
      [
        dir('d', { xattrs: { 'trusted.overlay.redirect': '/../../outside', 'trusted.overlay.opaque': 'y' } }),
        file('f', '', { xattrs: { 'trusted.overlay.metacopy': '', 'user.fine': '1' } }),
        symlink('s', 'x', { xattrs: { 'user.impossible': '1' } }),
      ],
      { onIgnored: ({ path, what, reason, here }) => ignored.push(`${path}: ${what}: ${reason}: ${here}`) },
    )
    expect(list(place.root)).toMatchObject({
      d: { xattrs: [] },
      f: { xattrs: [['user.fine', '1']] },
      s: { xattrs: [] },
    })
    expect(ignored).toEqual([
      'd: trusted.overlay.redirect attribute: trusted attributes are not taken from layers: false',
      'd: trusted.overlay.opaque attribute: trusted attributes are not taken from layers: false',
      'f: trusted.overlay.metacopy attribute: trusted attributes are not taken from layers: false',
      's: user.impossible attribute: only files and directories have user attributes: false',
    ])
  })

  test('an attribute longer than Linux allows', async () => {
    expect(await attempt([file('f', '', { xattrs: { 'user.a': 'x'.repeat(65537) } })])).toMatchObject(
      refusal('LAYER_TOO_LARGE', /attribute/),
    )
    expect(await attempt([file('f', '', { xattrs: { [`user.${'a'.repeat(251)}`]: '' } })])).toMatchObject(
      refusal('LAYER_TOO_LARGE', /attribute/),
    )
  })

  test('a file system without attributes takes the files without them, and says so', async () => {
    const ramfs = { type: 'ramfs', source: 'ramfs', target: '', options: [] }
    const ignored: string[] = []
    const onIgnored = ({ path, what, reason, here }: Ignored): number =>
      ignored.push(`${path}: ${what}: ${reason}: ${here}`)
    await sandbox.apply([ramfs], [file('f', '', { xattrs: { 'user.a': 'x' } })], { onIgnored })
    expect(ignored).toEqual(['f: user.a attribute: the file system does not support these attributes: true'])
  })

  test('owners and devices that Linux cannot hold', async () => {
    expect(await attempt([file('f', '', { pax: { uid: '-1' } })])).toMatchObject(refusal('LAYER_CORRUPT', /owner -1/))
    expect(await attempt([file('f', '', { pax: { gid: '4294967295' } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /owner 4294967295/),
    )
    expect(await attempt([device('d', 'char', 4096, 0)])).toMatchObject(refusal('LAYER_CORRUPT', /device number/))
  })

  test('the time before 1970 and the end of time become 1970, as with containerd', async () => {
    const place = scene()
    await sandbox.apply(place.root, [file('before', '', { mtime: -5 }), file('after', '', { mtime: 9_300_000_000 })])
    expect(list(place.root)).toMatchObject({
      before: { mtime: { seconds: 0, nanoseconds: 0 } },
      after: { mtime: { seconds: 0, nanoseconds: 0 } },
    })
  })

  test("aufs's own files are passed over, and a hard link to one is named", async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      file('.wh..wh.aufs', ''),
      dir('.wh..wh.plnk'),
      file('.wh..wh.plnk/12.34', 'x'),
      dir('.wh..wh.orph'),
      file('kept', ''),
    ])
    expect(Object.keys(list(place.root))).toEqual(['kept'])
    expect(await attempt([hardlink('a', '.wh..wh.plnk/12.34')])).toMatchObject(refusal('LAYER_UNSUPPORTED', /aufs/))
  })

  test('entries of a type that layers do not have', async () =>
    expect(await attempt([other('v', 'V')])).toMatchObject(refusal('LAYER_UNSUPPORTED', /type "V"/)))
})
