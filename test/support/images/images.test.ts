/** The test images against tools that read such images. */
import { execFileSync, spawnSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { device, dir, fifo, file, hardlink, opaque, sparse, symlink, whiteout } from './entries.ts'
import { buildImage, buildIndex, digestOf } from './image.ts'
import { paxRecord, writeTar } from './tar.ts'
import { writeDockerArchive, writeOciArchive, writeOciLayout, writeOciLayoutOf } from './write.ts'

const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
const root = process.getuid?.() === 0

const inspect = (spec: string): { Layers: string[] } =>
  JSON.parse(execFileSync('skopeo', ['inspect', spec], { encoding: 'utf8', stdio: 'pipe' })) as { Layers: string[] }

let at = ''
beforeEach(() => {
  at = mkdtempSync(join(tmpdir(), 'layercast-images-'))
})
afterEach(() => rmSync(at, { recursive: true, force: true }))

const untar = (tar: Uint8Array, ...flags: string[]): void => {
  execFileSync('tar', ['-xp', '-C', at, ...flags], { input: tar })
}

describe('a tar archive as GNU tar reads it', () => {
  test.skipIf(!root)('has every kind of member', () => {
    const longName = `${'d'.repeat(90)}/${'n'.repeat(120)}`
    untar(
      writeTar([
        dir('etc', { mode: 0o711 }),
        file('etc/one', 'eins', { mode: 0o4751, uid: 3_000_000, gid: 7, mtime: 1_700_000_000.25 }),
        symlink('etc/link', 'one'),
        hardlink('etc/two', 'etc/one'),
        device('etc/null', 'char', 1, 3, { mode: 0o666 }),
        fifo('etc/pipe'),
        sparse('etc/holes', 100_000, [{ offset: 50_000, data: Buffer.from('middle') }]),
        file(longName, 'pax'),
        file(`g/${longName}`, 'gnu', { format: 'gnu', uid: 3_000_000 }),
        file(`u/${'e'.repeat(90)}/${'n'.repeat(90)}`, 'ustar', { format: 'ustar' }),
        file('grüße', 'utf-8'),
      ]),
    )
    const one = statSync(join(at, 'etc/one'))
    expect([one.mode & 0o7777, one.uid, one.gid, one.nlink, one.mtimeMs]).toEqual([
      0o4751, 3_000_000, 7, 2, 1_700_000_000_250,
    ])
    expect(readlinkSync(join(at, 'etc/link'))).toBe('one')
    expect([lstatSync(join(at, 'etc/null')).isCharacterDevice(), lstatSync(join(at, 'etc/null')).rdev]).toEqual([
      true,
      0x103,
    ])
    expect(lstatSync(join(at, 'etc/pipe')).isFIFO()).toBe(true)
    const holes = readFileSync(join(at, 'etc/holes'))
    expect([holes.length, holes.subarray(50_000, 50_006).toString(), holes[49_999]]).toEqual([100_000, 'middle', 0])
    expect(readFileSync(join(at, longName), 'utf8')).toBe('pax')
    expect(readFileSync(join(at, 'g', longName), 'utf8')).toBe('gnu')
    expect(statSync(join(at, 'g', longName)).uid).toBe(3_000_000)
    expect(readFileSync(join(at, 'u', 'e'.repeat(90), 'n'.repeat(90)), 'utf8')).toBe('ustar')
    expect(readFileSync(join(at, 'grüße'), 'utf8')).toBe('utf-8')
  })

  test('carries extended attributes', () => {
    writeFileSync(join(at, 'x.tar'), writeTar([file('f', 'x', { xattrs: { 'user.colour': 'red' } })]))
    const listed = execFileSync('tar', ['-tvv', '--xattrs', '-f', join(at, 'x.tar')], { encoding: 'utf8' })
    expect(listed).toMatch(/user\.colour/)
  })

  test('names whiteouts as image-spec does', () => {
    const listed = execFileSync('tar', ['-t'], { input: writeTar([whiteout('a/b'), whiteout('c'), opaque('a')]) })
    expect(listed.toString().trim().split('\n')).toEqual(['a/.wh.b', '.wh.c', 'a/.wh..wh..opq'])
  })
})

test.each([1, 90, 91, 92, 93, 94, 95, 990, 991, 992])(
  'a PAX record of a value of %i bytes counts its own length',
  (n) => {
    const record = Buffer.from(paxRecord('k', new Uint8Array(n).fill(0x61)))
    expect(Number(record.toString().split(' ')[0])).toBe(record.length)
  },
)

describe('a built image', () => {
  const image = buildImage({
    layers: [[dir('etc'), file('etc/one', '1')], [file('etc/two', '2')], [whiteout('etc/one')]],
    compression: ['gzip', 'none', 'zstd'],
  })

  test('is the same each time', () => {
    const again = buildImage({
      layers: [[dir('etc'), file('etc/one', '1')], [file('etc/two', '2')], [whiteout('etc/one')]],
      compression: ['gzip', 'none', 'zstd'],
    })
    expect(again.manifest).toEqual(image.manifest)
  })

  test('holds every blob that it names, under its digest', () => {
    for (const descriptor of [image.manifest, image.config, ...image.layers]) {
      const data = image.blobs.get(descriptor.digest)
      expect(data?.length).toBe(descriptor.size)
      expect(digestOf(data ?? '')).toBe(descriptor.digest)
    }
  })

  test.skipIf(!has('umoci') || !root)('unpacks with umoci', async () => {
    // Debian's umoci knows no zstd.
    const gzip = buildImage({ layers: image.tars, compression: ['gzip', 'none', 'gzip'] })
    await writeOciLayout(gzip, join(at, 'oci'), { ref: 'one' })
    execFileSync('umoci', ['unpack', '--image', `${join(at, 'oci')}:one`, join(at, 'bundle')], { stdio: 'pipe' })
    expect(readFileSync(join(at, 'bundle/rootfs/etc/two'), 'utf8')).toBe('2')
    expect(() => statSync(join(at, 'bundle/rootfs/etc/one'))).toThrow('ENOENT')
  })

  test.skipIf(!has('skopeo'))('is read by skopeo from a layout and from each archive', async () => {
    const oci = buildImage({ layers: [[file('a', '1')], [file('b', '2')], [file('a', '1')]], mediaTypes: 'oci' })
    await writeOciLayout(oci, join(at, 'oci'), { ref: 'one' })
    await writeOciArchive(oci, join(at, 'oci.tar'), { ref: 'one' })
    await writeDockerArchive(oci, join(at, 'old.tar'))
    await writeDockerArchive(oci, join(at, 'new.tar'), { style: 'oci' })
    const digests = oci.layers.map((layer) => layer.digest)
    expect(inspect(`oci:${at}/oci:one`).Layers).toEqual(digests)
    expect(inspect(`oci-archive:${at}/oci.tar:one`).Layers).toEqual(digests)
    expect(inspect(`docker-archive:${at}/old.tar`).Layers).toEqual(oci.diffIDs)
    expect(inspect(`docker-archive:${at}/new.tar`).Layers).toEqual(oci.diffIDs)
    expect(inspect(`oci-archive:${at}/new.tar:1`).Layers).toEqual(oci.diffIDs)
  })

  test.skipIf(!has('skopeo'))('is copied by skopeo out of an index by platform', async () => {
    const arm = buildImage({ layers: [[file('a', 'arm')]], platform: { os: 'linux', architecture: 'arm64' } })
    const both = buildIndex([
      { image, platform: { os: 'linux', architecture: 'amd64' } },
      { image: arm, platform: { os: 'linux', architecture: 'arm64' } },
    ])
    await writeOciLayoutOf([{ target: both.index, blobs: both.blobs, ref: 'both' }], join(at, 'oci'))
    const listed = execFileSync('skopeo', ['inspect', '--raw', `oci:${at}/oci:both`], { stdio: 'pipe' })
    expect(digestOf(listed)).toBe(both.index.digest)
    const copy = ['--override-arch', 'arm64', 'copy', `oci:${at}/oci:both`, `oci:${at}/copy:arm`]
    execFileSync('skopeo', copy, { stdio: 'pipe' })
    expect(inspect(`oci:${at}/copy:arm`).Layers).toEqual(arm.layers.map((layer) => layer.digest))
  })
})
