/** Where a verb looks: options of the backend, its root and its namespace. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { errorOf, layercast } from '../support/layercast.ts'

const base = mkdtempSync(join(tmpdir(), 'layercast-places-'))
const root = join(base, 'root')
afterAll(() => rmSync(base, { recursive: true, force: true }))

describe('where a verb looks', () => {
  test.each([
    [['image', 'ls', '-n', 'bad/ns']],
    [['image', 'ls', '--root', root, '-n', 'k8s.io']],
    [['snapshot', 'ls', '--root', root, '--backend', 'containerd']],
    [['snapshot', 'ls', '--address', join(base, 'x.sock'), '--backend', 'embedded']],
    [['verify', '--all', '--root', root, '-n', 'k8s.io']],
  ])('%j is a command line that is not right', async (args) => {
    const ran = await layercast([...args, '-o', 'json'])
    expect([ran.status, errorOf(ran).code]).toEqual([2, 'USAGE'])
  })

  test('a namespace out of the environment is for the containerd that is not there', async () => {
    const ran = await layercast(['image', 'ls', '--root', root], { env: { CONTAINERD_NAMESPACE: 'k8s.io' } })
    expect(ran.status).toBe(0)
  })

  test('a root that is not there is said, for it may be mistyped', async () => {
    const ran = await layercast(['image', 'ls', '--root', root])
    expect([ran.status, ran.stderr]).toEqual([0, `note: ${root} is not there yet\n`])
    expect((await layercast(['image', 'ls', '--root', root, '-o', 'json'])).stderr).toBe('')
  })

  test('versions are told where the backend does not answer, and the status says that it does not', async () => {
    const args = ['version', '--address', join(base, 'nobody.sock')]
    const ran = await layercast(args)
    expect(ran.stdout.toString()).toMatch(/^layercast +\d/u)
    expect(ran.stdout.toString()).toContain('none (CONTAINERD_UNREACHABLE)')
    expect(ran.status).toBe(4)
    const json = await layercast([...args, '-o', 'json'])
    expect(JSON.parse(json.stdout.toString())).toMatchObject({ backend: { error: { code: 'CONTAINERD_UNREACHABLE' } } })
    expect([json.status, errorOf(json).code]).toEqual([4, 'CONTAINERD_UNREACHABLE'])
  })
})
