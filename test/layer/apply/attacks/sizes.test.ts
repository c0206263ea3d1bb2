/** Archives that say more, or hold more, than they should. */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { file, raw, sparse, whiteout } from '../../../support/images/entries.ts'
import { MEDIA_TYPES } from '../../../support/images/image.ts'
import { writeTar } from '../../../support/images/tar.ts'
import { list } from '../../support/sandbox.ts'
import { refusal, useAttacks } from './support.ts'

const { sandbox, scene, attempt } = useAttacks()

describe('sizes', () => {
  test('a sparse file of exabytes', async () =>
    expect(
      await attempt([
        file('bomb', '', {
          pax: {
            'GNU.sparse.major': '0',
            'GNU.sparse.minor': '1',
            'GNU.sparse.numblocks': '0',
            'GNU.sparse.size': '1000000000000000000',
          },
        }),
      ]),
    ).toMatchObject(refusal('LAYER_TOO_LARGE', /files come to more than/)))

  test('holes stay holes', async () => {
    const place = scene()
    await sandbox.apply(place.root, [
      sparse('holes', 2 ** 32, [{ offset: 2 ** 31, data: new Uint8Array(512).fill(1) }]),
    ])
    const stat = lstatSync(join(place.root, 'holes'))
    expect(stat.size).toBe(2 ** 32)
    expect(stat.blocks).toBeLessThan(64)
  })

  test('a size that reaches beyond the archive', async () =>
    expect(await attempt([file('liar', 'x', { pax: { size: '1000000' } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /cut short/),
    ))

  test('a size in PAX that is larger than the header has: what follows is data, no entry', async () => {
    const place = scene()
    const inner = writeTar([file('hidden', 'x')])
    await sandbox.apply(place.root, [file('outer', inner.subarray(0, 1024), {}), file('next', '')])
    expect(Object.keys(list(place.root))).toEqual(['next', 'outer'])
  })

  test('a sparse map that tells of more, or of less, than the archive holds', async () => {
    const map = (text: string, count: string): Record<string, string> => ({
      'GNU.sparse.major': '0',
      'GNU.sparse.minor': '1',
      'GNU.sparse.numblocks': count,
      'GNU.sparse.map': text,
      'GNU.sparse.size': '100',
    })
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('0,5', '1') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /tells of 5 bytes/),
    )
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('0,2', '1') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /tells of 2 bytes/),
    )
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('5,2,4,1', '2') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /order or bounds/),
    )
    expect(await attempt([file('a', 'abc'), file('f', 'xyz', { pax: map('98,3', '1') })])).toMatchObject(
      refusal('LAYER_CORRUPT', /order or bounds/),
    )
  })

  test('too many entries', async () => {
    const place = scene()
    const entries = Array.from({ length: 11 }, (_, index) => file(`f${index}`, ''))
    await expect(sandbox.apply(place.root, entries, { limits: { entries: 10 } })).rejects.toMatchObject({
      code: 'LAYER_TOO_LARGE',
      detail: { entries: 10, entry: 'f10' },
    })
  })

  test('a layer that expands beyond the limit, before all of it is written', async () => {
    const bomb = zstdCompressSync(writeTar([file('zeros', new Uint8Array(1 << 24))]))
    const mediaType = MEDIA_TYPES.oci.layer.zstd
    const place = scene()
    await expect(sandbox.apply(place.root, bomb, { mediaType, limits: { size: 1 << 20 } })).rejects.toMatchObject({
      code: 'LAYER_TOO_LARGE',
    })
    await expect(
      sandbox.apply(place.root, bomb, { mediaType, limits: { ratio: 100, ratioFrom: 1 << 20 } }),
    ).rejects.toMatchObject({ code: 'LAYER_TOO_LARGE', message: expect.stringContaining('100 times') })
    expect(lstatSync(join(place.root, 'zeros')).size).toBeLessThan(1 << 23)
  })

  test('an extended header of megabytes', async () =>
    expect(await attempt([file('a', ''), file('b', '', { pax: { comment: 'x'.repeat(1 << 20) } })])).toMatchObject(
      refusal('LAYER_CORRUPT', /extended header/),
    ))

  test('garbage between entries', async () =>
    expect(await attempt([file('a', 'x'), raw(Buffer.alloc(512, 0xaa)), file('b', '')])).toMatchObject(
      refusal('LAYER_CORRUPT', /checksum/),
    ))

  test('a directory of two thousand levels is made and removed', { timeout: 60_000 }, async () => {
    const place = scene()
    await sandbox.apply(place.root, [file(`${'d/'.repeat(2000)}f`, '')])
    await sandbox.apply(place.root, [whiteout('d')])
    expect(readdirSync(place.root)).toEqual([])
  })
})
