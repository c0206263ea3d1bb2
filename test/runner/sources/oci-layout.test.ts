import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSource } from '../../../functions/runner/sources/open.ts'
import { dir, file } from '../../support/images/entries.ts'
import { buildImage, buildIndex } from '../../support/images/image.ts'
import { writeTar } from '../../support/images/tar.ts'
import { writeOciArchive, writeOciLayout, writeOciLayoutOf } from '../../support/images/write.ts'
import { differences, failure, openFailure, readAll, withSource } from './support/sources.ts'

const image = buildImage({
  layers: [[dir('etc'), file('etc/one', 'x'.repeat(100_000))], [file('etc/two', '2')], [file('etc/three', '3')]],
  compression: ['gzip', 'none', 'zstd'],
})
const has = (tool: string): boolean => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0

let at = ''
beforeEach(() => {
  at = mkdtempSync(join(tmpdir(), 'layercast-layout-'))
})
afterEach(() => rmSync(at, { recursive: true, force: true }))

describe('an OCI layout in a directory', () => {
  test('gives the image, whole and in parts', async () => {
    await writeOciLayout(image, join(at, 'oci'), { ref: 'one' })
    for (const spec of [`oci:${at}/oci`, `oci:${at}/oci:one`, `oci:${at}/oci:@0`]) {
      await withSource(spec, async (source) => {
        expect(source.spec).toBe(spec)
        expect(source.target).toMatchObject(image.manifest)
        expect(await differences(source, image)).toEqual([])
      })
    }
  })

  test('gives a name only where it names a registry', async () => {
    for (const [ref, reference] of [
      ['latest', undefined],
      ['app:1', undefined],
      ['example.com/app:1', 'example.com/app:1'],
      ['localhost/app', 'localhost/app'],
    ]) {
      await writeOciLayout(image, join(at, 'oci'), { ref: ref ?? '' })
      await withSource(`oci:${at}/oci:${ref}`, async (source) => expect(source.reference).toBe(reference))
    }
  })

  test('with several images wants to be told which, and says what there is', async () => {
    const other = buildImage({ layers: [[file('other')]] })
    await writeOciLayoutOf(
      [
        { target: image.manifest, blobs: image.blobs, ref: 'one' },
        { target: other.manifest, blobs: other.blobs, ref: 'two' },
      ],
      join(at, 'oci'),
    )
    await withSource(`oci:${at}/oci:two`, async (source) => expect(await differences(source, other)).toEqual([]))
    await withSource(`oci:${at}/oci:@1`, async (source) => expect(await differences(source, other)).toEqual([]))
    const several = await openFailure(`oci:${at}/oci`)
    expect(several.code).toBe('SOURCE_INVALID')
    expect(several.message).toContain('"one", "two"')
    expect(await openFailure(`oci:${at}/oci:three`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
    expect(await openFailure(`oci:${at}/oci:@2`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })

  test('points to an index where the image has several platforms', async () => {
    const both = buildIndex([{ image, platform: { os: 'linux', architecture: 'amd64' } }])
    await writeOciLayoutOf([{ target: both.index, blobs: both.blobs, ref: 'both' }], join(at, 'oci'))
    await withSource(`oci:${at}/oci:both`, async (source) => {
      expect(source.target).toMatchObject(both.index)
      expect((await readAll(source, source.target)).equals(both.indexBytes)).toBe(true)
    })
  })

  test('names the blob that is missing', async () => {
    await writeOciLayout(image, join(at, 'oci'))
    const [layer] = image.layers
    if (layer === undefined) throw new Error('no layer')
    unlinkSync(join(at, 'oci/blobs', layer.digest.replace(':', '/')))
    await withSource(`oci:${at}/oci`, async (source) => {
      expect(await source.has(layer.digest)).toBe(false)
      const { code, message } = await failure(readAll(source, layer))
      expect([code, message]).toEqual(['BLOB_NOT_FOUND', expect.stringContaining(layer.digest)])
    })
  })

  test.each(['changed', 'longer', 'shorter'])('refuses a blob that was %s', async (how) => {
    await writeOciLayout(image, join(at, 'oci'))
    const [layer] = image.layers
    if (layer === undefined) throw new Error('no layer')
    const path = join(at, 'oci/blobs', layer.digest.replace(':', '/'))
    const data = readFileSync(path)
    if (how === 'changed') data[20] = (data[20] ?? 0) ^ 1
    writeFileSync(path, how === 'longer' ? Buffer.concat([data, data]) : how === 'shorter' ? data.subarray(1) : data)
    await withSource(`oci:${at}/oci`, async (source) => {
      expect(await failure(readAll(source, layer))).toMatchObject({ code: 'DIGEST_MISMATCH' })
    })
  })

  test('is not waited for where a FIFO lies in the place of a file', async () => {
    await writeOciLayout(image, join(at, 'oci'))
    unlinkSync(join(at, 'oci/index.json'))
    execFileSync('mkfifo', [join(at, 'oci/index.json')])
    expect(await openFailure(`oci:${at}/oci`)).toMatchObject({ code: 'SOURCE_INVALID' })
  })

  test('may have links for blobs, as deduplicating tools make them', async () => {
    await writeOciLayout(image, join(at, 'oci'))
    const path = join(at, 'oci/blobs', image.config.digest.replace(':', '/'))
    writeFileSync(join(at, 'elsewhere'), readFileSync(path))
    unlinkSync(path)
    symlinkSync(join(at, 'elsewhere'), path)
    await withSource(`oci:${at}/oci`, async (source) => expect(await differences(source, image)).toEqual([]))
  })

  test('is refused without its files, of another version, and with a damaged index', async () => {
    expect(await openFailure(`oci:${at}/nowhere`)).toMatchObject({ code: 'FILE_NOT_FOUND' })
    expect(await openFailure(`oci:${at}`)).toMatchObject({ code: 'SOURCE_INVALID' })
    writeFileSync(join(at, 'file'), '')
    expect(await openFailure(`oci:${at}/file`)).toMatchObject({ code: 'SOURCE_INVALID' })
    await writeOciLayout(image, join(at, 'oci'))
    writeFileSync(join(at, 'oci/oci-layout'), '{"imageLayoutVersion":"2.0.0"}')
    expect(await openFailure(`oci:${at}/oci`)).toMatchObject({ code: 'SOURCE_INVALID' })
    writeFileSync(join(at, 'oci/oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    writeFileSync(join(at, 'oci/index.json'), '{"manifests":[')
    expect(await openFailure(`oci:${at}/oci`)).toMatchObject({ code: 'JSON_INVALID' })
    writeFileSync(join(at, 'oci/index.json'), '{"schemaVersion":2,"manifests":[]}')
    expect(await openFailure(`oci:${at}/oci`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
    writeFileSync(join(at, 'oci/index.json'), ' '.repeat(5 * 1024 * 1024))
    expect(await openFailure(`oci:${at}/oci`)).toMatchObject({ code: 'SOURCE_INVALID' })
  })

  test.skipIf(!has('umoci'))('is read as umoci wrote it', async () => {
    const run = (...args: string[]): void => void execFileSync('umoci', args, { stdio: 'pipe' })
    run('init', '--layout', join(at, 'umoci'))
    run('new', '--image', `${at}/umoci:tag`)
    writeFileSync(join(at, 'tree.tar'), writeTar([dir('etc'), file('etc/one', '1')]))
    run('raw', 'add-layer', '--image', `${at}/umoci:tag`, join(at, 'tree.tar'))
    await withSource(`oci:${at}/umoci:tag`, async (source) => {
      const manifest = JSON.parse(String(await readAll(source, source.target))) as { layers: unknown[] }
      expect(manifest.layers).toHaveLength(1)
    })
  })
})

describe('an OCI layout in an archive', () => {
  test('gives the image, whole and in parts', async () => {
    await writeOciArchive(image, join(at, 'oci.tar'), { ref: 'one' })
    for (const spec of [`oci-archive:${at}/oci.tar`, `oci-archive:${at}/oci.tar:one`]) {
      await withSource(spec, async (source) => expect(await differences(source, image)).toEqual([]))
    }
    expect(await openFailure(`oci-archive:${at}/oci.tar:two`)).toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })

  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('is inflated when it is compressed with %s, and leaves nothing behind', async (_, compress) => {
    await writeOciArchive(image, join(at, 'oci.tar'))
    writeFileSync(join(at, 'packed'), compress(readFileSync(join(at, 'oci.tar'))))
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = join(at, 'tmp')
    execFileSync('mkdir', [join(at, 'tmp')])
    try {
      await withSource(`oci-archive:${at}/packed`, async (source) => {
        expect(await differences(source, image)).toEqual([])
        expect(execFileSync('ls', [join(at, 'tmp')]).toString()).toBe('')
      })
    } finally {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    }
  })

  test('is refused when its compression is damaged, cut short, or of another kind', async () => {
    await writeOciArchive(image, join(at, 'oci.tar'))
    const packed = gzipSync(readFileSync(join(at, 'oci.tar')))
    writeFileSync(join(at, 'short'), packed.subarray(0, packed.length / 2))
    expect(await openFailure(`oci-archive:${at}/short`)).toMatchObject({ code: 'SOURCE_INVALID' })
    const damaged = Buffer.from(packed)
    damaged.fill(0xff, 100, 200)
    writeFileSync(join(at, 'damaged'), damaged)
    expect(await openFailure(`oci-archive:${at}/damaged`)).toMatchObject({ code: 'SOURCE_INVALID' })
    writeFileSync(join(at, 'xz'), Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0]))
    expect((await openFailure(`oci-archive:${at}/xz`)).fix).toContain('xz -d')
  })

  test('is refused where it is no file, and where it holds no layout', async () => {
    expect(await openFailure(`oci-archive:${at}/none`)).toMatchObject({ code: 'FILE_NOT_FOUND' })
    expect(await openFailure(`oci-archive:${at}`)).toMatchObject({ code: 'SOURCE_INVALID' })
    expect(await openFailure('oci-archive:/dev/null')).toMatchObject({ code: 'SOURCE_INVALID' })
    writeFileSync(join(at, 'empty.tar'), '')
    expect(await openFailure(`oci-archive:${at}/empty.tar`)).toMatchObject({ code: 'SOURCE_INVALID' })
    writeFileSync(join(at, 'text'), 'this is no archive'.repeat(100))
    expect(await openFailure(`oci-archive:${at}/text`)).toMatchObject({ code: 'SOURCE_INVALID' })
  })

  test.skipIf(!has('skopeo'))('is read as skopeo wrote it, under the name that skopeo gave it', async () => {
    // skopeo compresses what is not.
    const packed = buildImage({ layers: image.tars })
    await writeOciLayout(packed, join(at, 'oci'), { ref: 'one' })
    const copy = ['copy', `oci:${at}/oci:one`, `oci-archive:${at}/copy.tar:example.com/app:1`]
    execFileSync('skopeo', copy, { stdio: 'pipe' })
    await withSource(`oci-archive:${at}/copy.tar:example.com/app:1`, async (source) => {
      expect(source.reference).toBe('example.com/app:1')
      expect(await differences(source, packed)).toEqual([])
    })
  })
})

test.each([
  '',
  'nginx',
  'oci',
  'oci:',
  'oci::tag',
  'oci:dir:',
  'oci:dir:@x',
  'docker:nginx',
  'docker://',
  'tarball:x',
  'dir:/x',
])('the source %j is refused', async (spec) => {
  expect(await failure(openSource(spec))).toMatchObject({ code: 'SOURCE_INVALID' })
})
