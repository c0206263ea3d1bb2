import { describe, expect, test } from 'vitest'
import {
  isConfig,
  isEncrypted,
  isIndex,
  isLayer,
  isManifest,
  isSchema1,
  layerCompression,
} from '../../functions/image/media-type.ts'
import layerTypes from './fixtures/layer-types.json' with { type: 'json' }

const OCI = 'application/vnd.oci.image'
const DOCKER = 'application/vnd.docker'

describe('layers', () => {
  test.each([
    [`${OCI}.layer.v1.tar`, 'none'],
    [`${OCI}.layer.v1.tar+gzip`, 'gzip'],
    [`${OCI}.layer.v1.tar+zstd`, 'zstd'],
    [`${OCI}.layer.nondistributable.v1.tar+gzip`, 'gzip'],
    [`${OCI}.layer.v1.tar+gzip+encrypted`, 'gzip'],
    [`${OCI}.layer.v1.tar+encrypted`, 'none'],
    [`${OCI}.layer.nydus.blob.v1`, 'none'],
    [`${DOCKER}.image.rootfs.diff.tar`, 'unknown'],
    [`${DOCKER}.image.rootfs.diff.tar.gzip`, 'gzip'],
    [`${DOCKER}.image.rootfs.diff.tar.zstd`, 'zstd'],
    [`${DOCKER}.image.rootfs.foreign.diff.tar`, 'unknown'],
    [`${DOCKER}.image.rootfs.foreign.diff.tar.gzip`, 'gzip'],
    ['application/vnd.erofs.layer.v1', 'none'],
  ])('%s is a layer, compressed: %s', (mediaType, compression) => {
    expect(isLayer(mediaType)).toBe(true)
    expect(layerCompression(mediaType)).toBe(compression)
  })

  test.each([
    '',
    'application/octet-stream',
    `${OCI}.layerx.v1.tar`,
    `${DOCKER}.image.rootfs.foreign.diff.tar.zstd`,
    `${DOCKER}.image.rootfs.diff.tar.xz`,
    'application/vnd.erofs.layer.v2',
    'application/vnd.in-toto+json',
    'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    `${OCI.toUpperCase()}.LAYER.V1.TAR`,
  ])('%j is passed over', (mediaType) => expect(isLayer(mediaType)).toBe(false))

  // The table is what images.IsLayerType and images.DiffCompression of containerd 2.4.2 say, run over it.
  test("are those that containerd's own function takes", () => {
    const table = Object.entries(layerTypes as unknown as Record<string, [boolean, string]>)
    expect(table.length).toBeGreaterThan(200)
    expect(table.map(([mediaType]) => [mediaType, isLayer(mediaType)])).toEqual(
      table.map(([mediaType, [layer]]) => [mediaType, layer]),
    )
    // Under other types containerd's differs go by what the layer's bytes are, or by who unwraps it.
    const compressed = table.filter(([, [, compression]]) => compression === 'gzip' || compression === 'zstd')
    expect(compressed.map(([mediaType]) => layerCompression(mediaType))).toEqual(compressed.map(([, [, how]]) => how))
  })

  test('encryption shows', () => {
    expect(isEncrypted(`${OCI}.layer.v1.tar+gzip+encrypted`)).toBe(true)
    expect(isEncrypted(`${OCI}.layer.v1.tar+gzip`)).toBe(false)
  })
})

test('documents of OCI and docker are told apart by kind', () => {
  const kinds = { isManifest, isIndex, isConfig, isSchema1 }
  const of = (type: string) => Object.entries(kinds).flatMap(([name, is]) => (is(type) ? [name] : []))
  expect(of(`${OCI}.manifest.v1+json`)).toEqual(['isManifest'])
  expect(of(`${DOCKER}.distribution.manifest.v2+json`)).toEqual(['isManifest'])
  expect(of(`${OCI}.index.v1+json`)).toEqual(['isIndex'])
  expect(of(`${DOCKER}.distribution.manifest.list.v2+json`)).toEqual(['isIndex'])
  expect(of(`${OCI}.config.v1+json`)).toEqual(['isConfig'])
  expect(of(`${DOCKER}.container.image.v1+json`)).toEqual(['isConfig'])
  expect(of(`${DOCKER}.distribution.manifest.v1+json`)).toEqual(['isSchema1'])
  expect(of(`${DOCKER}.distribution.manifest.v1+prettyjws`)).toEqual(['isSchema1'])
  expect(of('application/vnd.oci.empty.v1+json')).toEqual([])
})
