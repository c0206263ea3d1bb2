import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../functions/image/config.ts'
import { json } from './bytes.ts'
import { sampleDigest, sampleImage } from './samples.ts'
import { thrown } from './thrown.ts'

const ID = sampleDigest('diff')

test('reads the platform as it stands and the diff IDs', () => {
  const bytes = json({
    created: 'x',
    architecture: 'ARM64',
    os: 'linux',
    variant: 'v8',
    'os.version': '1',
    'os.features': ['f'],
    config: { Env: ['A=B'], Cmd: null },
    rootfs: { type: 'layers', diff_ids: [ID, ID] },
    history: [{}],
  })
  expect(parseConfig(bytes)).toEqual({
    platform: { os: 'linux', architecture: 'ARM64', variant: 'v8', 'os.version': '1', 'os.features': ['f'] },
    rootfs: { type: 'layers', diffIDs: [ID, ID] },
  })
})

test.each([
  [{}, { platform: { os: '', architecture: '' }, rootfs: { type: '', diffIDs: [] } }],
  [{ rootfs: null }, { platform: { os: '', architecture: '' }, rootfs: { type: '', diffIDs: [] } }],
  [
    { os: 'linux', rootfs: { diff_ids: null } },
    { platform: { os: 'linux', architecture: '' }, rootfs: { type: '', diffIDs: [] } },
  ],
  [{ rootfs: { type: 'other' } }, { platform: { os: '', architecture: '' }, rootfs: { type: 'other', diffIDs: [] } }],
])('what %j leaves out is empty, as for Go', (value, config) => expect(parseConfig(json(value))).toEqual(config))

describe('refuses', () => {
  test.each<[unknown, string]>([
    [[], 'the document'],
    [{ os: 7 }, 'os'],
    [{ architecture: {} }, 'architecture'],
    [{ variant: [] }, 'variant'],
    [{ 'os.features': 'x' }, '["os.features"]'],
    [{ 'os.features': [7] }, '["os.features"][0]'],
    [{ rootfs: [] }, 'rootfs'],
    [{ rootfs: { type: 7 } }, 'rootfs.type'],
    [{ rootfs: { diff_ids: ID } }, 'rootfs.diff_ids'],
    [{ rootfs: { diff_ids: [ID, 7] } }, 'rootfs.diff_ids[1]'],
    [{ Rootfs: {} }, 'Rootfs'],
    [{ rootfs: { Diff_IDs: [] } }, 'rootfs.Diff_IDs'],
  ])('%j', (value, path) => {
    const error = thrown(() => parseConfig(json(value)))
    expect(error.code).toBe('DOCUMENT_FIELD_INVALID')
    expect(error.detail['path']).toBe(path)
  })

  test('a diff ID that is no digest', () => {
    const error = thrown(() => parseConfig(json({ rootfs: { diff_ids: [ID, 'sha256:x'] } })))
    expect(error.code).toBe('DIGEST_INVALID')
    expect(error.message).toContain('rootfs.diff_ids[1]')
  })

  test('a manifest given for a config', () => {
    expect(thrown(() => parseConfig(sampleImage().manifest)).fix).toContain('config that the manifest names')
  })
})
