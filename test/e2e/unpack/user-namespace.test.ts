import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { device, dir, file, hardlink } from '../../support/images/entries.ts'
import { buildImage } from '../../support/images/image.ts'
import { writeOciLayout } from '../../support/images/write.ts'
import { LAUNCHER, layercast, type Ran } from '../../support/layercast.ts'

// Root of a namespace of its own, without the right to set file capabilities.
const INSIDE = ['-Urm', 'setpriv', '--bounding-set=-setfcap', '--inh-caps=-setfcap']
const can = spawnSync('unshare', [...INSIDE, 'true']).status === 0
/** cap_net_raw+ep, as the kernel keeps it. */
const CAPABILITY = `\x01\0\0\x02\0\x20${'\0'.repeat(14)}`
const NAME = 'example.com/devices:1'

// What layers hold and a user namespace cannot write is left out, counted, and not held against the tree.
describe.skipIf(process.getuid?.() !== 0 || !can)('layercast in a user namespace (needs unshare and setpriv)', () => {
  const image = buildImage({
    layers: [
      [
        dir('dev'),
        device('dev/null', 'char', 1, 3),
        device('dev/disk', 'block', 7, 0),
        hardlink('dev/same', 'dev/null'),
        file('ping', 'elf', { mode: 0o755, xattrs: { 'security.capability': CAPABILITY } }),
        file('replaced', 'of the layer below'),
        file('hidden', 'of the layer below'),
        dir('attributes', { xattrs: { 'trusted.overlay.opaque': 'y' } }),
      ],
      [
        device('replaced', 'char', 5, 1),
        device('hidden', 'char', 0, 0),
        device('again', 'char', 5, 1),
        file('again', 'a file in the end'),
        hardlink('linked', 'again'),
        file('dump', 'elf', { xattrs: { 'security.capability': CAPABILITY } }),
      ],
    ],
  })
  const WARNING = {
    code: 'ENTRIES_IGNORED',
    detail:
      '5 device nodes and 2 security.capability attributes could not be written: ' +
      'a user namespace can make no device nodes; this process may not set these attributes',
  }
  let directory: string
  let flags: string[]
  const inside = (...args: string[]): Promise<Ran> =>
    layercast([...INSIDE, LAUNCHER, ...args, ...flags], { launcher: 'unshare' })
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const ran = await inside(...args, '-o', 'json')
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    return JSON.parse(ran.stdout.toString()) as Record<string, unknown>
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'layercast-userns-'))
    await writeOciLayout(image, join(directory, 'layout'))
    flags = ['--root', join(directory, 'root')]
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('unpack warns of what it could not write, and verify --deep and repair --deep find the tree right', async () => {
    const source = `oci:${join(directory, 'layout')}`
    expect(await json('unpack', source, '-s', 'overlayfs', '--reference', NAME)).toMatchObject({ warnings: [WARNING] })
    const verified = await json('verify', NAME, '-s', 'overlayfs', '--deep')
    const missing = (path: string, expected: string) => ({ code: 'MISSING', path, expected })
    expect(verified).toMatchObject({ ok: true, tree: { ok: true, total: 0 }, warnings: [] })
    expect((verified['tree'] as { unsure: unknown[] }).unsure).toEqual(
      expect.arrayContaining([
        missing('dev/null', 'char'),
        missing('dev/disk', 'block'),
        missing('dev/same', 'char'),
        missing('replaced', 'char'),
        expect.objectContaining({ code: 'XATTR', path: 'ping', actual: null }),
      ]),
    )
    const text = (await inside('verify', NAME, '-s', 'overlayfs', '--deep')).stdout.toString()
    expect(text).toContain('4 device nodes not there: a user namespace can make none')
    expect(await json('repair', NAME, '-s', 'overlayfs', '--deep')).toMatchObject({ ok: true, warnings: [] })
  })

  test('the table has the warning too, of the layers that were made and no others', async () => {
    const removed = await inside('snapshot', 'rm', '-s', 'overlayfs', image.chainIDs.at(-1) ?? '')
    expect([removed.status, removed.stderr]).toEqual([0, ''])
    const repaired = await inside('repair', NAME, '-s', 'overlayfs')
    expect([repaired.status, repaired.stderr]).toEqual([0, ''])
    expect(repaired.stdout.toString()).toContain(
      'ENTRIES_IGNORED  2 device nodes and 1 security.capability attribute could not be written',
    )
  })

  test('outside the namespace the device nodes are missed, and repair --deep makes them', async () => {
    const outside = async (...args: string[]) => await layercast([...args, '-o', 'json', ...flags])
    expect((await outside('verify', NAME, '-s', 'overlayfs', '--deep')).status).toBe(5)
    const repaired = await outside('repair', NAME, '-s', 'overlayfs', '--deep')
    expect([repaired.status, JSON.parse(repaired.stdout.toString())]).toMatchObject([0, { ok: true, warnings: [] }])
    expect((await outside('verify', NAME, '-s', 'overlayfs', '--deep')).status).toBe(0)
  })
})
