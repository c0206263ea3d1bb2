import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Mount } from '../../functions/linux/mount-list.ts'
import { lowerDirectories, parseMountOptions } from '../../functions/linux/mount-options.ts'
import { mountAll, unmountPath } from '../../functions/linux/mount.ts'
import { recoverMounts, withMounted } from '../../functions/linux/mounted.ts'

let directory: string

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'layercast-mount-')))
})

afterEach(async () => {
  for (const path of mountedBelow(directory).toReversed()) await unmountPath(path)
  rmSync(directory, { recursive: true })
})

function mountedBelow(path: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${path}/`))
}

function make(name: string): string {
  const path = join(directory, name)
  mkdirSync(path, { recursive: true })
  return path
}

const options = (): { directory: string } => ({ directory: make('places') })

function overlay(lowers: readonly string[], extra: readonly string[] = []): Mount {
  return { type: 'overlay', source: 'overlay', target: '', options: [`lowerdir=${lowers.join(':')}`, ...extra] }
}

function bind(source: string, ...flags: string[]): Mount {
  return { type: 'bind', source, target: '', options: ['rbind', ...flags] }
}

describe('mountAll', () => {
  test('a bind mount shows the source, and is gone after unmount', async () => {
    writeFileSync(join(make('source'), 'file'), 'x')
    const target = make('target')
    const unmount = await mountAll([bind(join(directory, 'source'), 'rw')], target)
    expect(readdirSync(target)).toEqual(['file'])
    await unmount()
    await unmount()
    expect(readdirSync(target)).toEqual([])
  })

  test('a bind mount with ro cannot be written', async () => {
    const unmount = await mountAll([bind(make('source'), 'ro')], make('target'))
    expect(() => writeFileSync(join(directory, 'target/file'), 'x')).toThrow('EROFS')
    await unmount()
    writeFileSync(join(directory, 'source/file'), 'x')
  })

  test('an overlay merges its lower directories, topmost first', async () => {
    writeFileSync(join(make('low'), 'both'), 'low')
    writeFileSync(join(make('high'), 'both'), 'high')
    writeFileSync(join(directory, 'low/one'), '1')
    const extra = [`upperdir=${make('upper')}`, `workdir=${make('work')}`]
    const unmount = await mountAll([overlay([join(directory, 'high'), join(directory, 'low')], extra)], make('m'))
    expect(readFileSync(join(directory, 'm/both'), 'utf8')).toBe('high')
    writeFileSync(join(directory, 'm/new'), 'n')
    await unmount()
    expect(readdirSync(join(directory, 'upper'))).toEqual(['new'])
  })

  test.each([130, 300])(
    'an overlay with %i lower directories of long names exceeds a page and mounts',
    async (count) => {
      const lowers = Array.from({ length: count }, (_, index) => make(`${'long'.repeat(20)}/${index}`))
      lowers.forEach((lower, index) => writeFileSync(join(lower, `file-${index}`), `${index}`))
      writeFileSync(join(lowers[0] ?? '', 'top'), 'first')
      writeFileSync(join(lowers[1] ?? '', 'top'), 'second')
      const extra = ['index=off', `upperdir=${make('upper')}`, `workdir=${make('work')}`]
      const unmount = await mountAll([overlay(lowers, extra)], make('m'))
      expect(readdirSync(join(directory, 'm'))).toHaveLength(count + 1)
      expect(readFileSync(join(directory, 'm/top'), 'utf8')).toBe('first')
      writeFileSync(join(directory, 'm/written'), '')
      await unmount()
      expect(readdirSync(join(directory, 'upper'))).toEqual(['written'])
    },
  )

  test('a mount with a target of its own goes below, and a symbolic link there does not lead out', async () => {
    make('source/inner')
    make('outside')
    symlinkSync(join(directory, 'outside'), join(directory, 'source/link'))
    mkdirSync(join(directory, 'source', directory, 'outside'), { recursive: true })
    writeFileSync(join(make('second'), 'file'), '')
    const second = { ...bind(join(directory, 'second'), 'rw'), target: 'link' }
    const unmount = await mountAll([bind(join(directory, 'source'), 'rw'), second], make('m'))
    expect(readdirSync(join(directory, 'outside'))).toEqual([])
    expect(readdirSync(join(directory, 'm', directory, 'outside'))).toEqual(['file'])
    await unmount()
    expect(mountedBelow(directory)).toEqual([])
  })

  test('when the second mount fails, the first is unmounted', async () => {
    const mounts = [bind(make('source'), 'rw'), overlay([join(directory, 'missing')])]
    await expect(mountAll(mounts, make('m'))).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      detail: { call: 'mount', errno: 'ENOENT' },
    })
    expect(mountedBelow(directory)).toEqual([])
  })

  test('an unknown file system is named with its error number and a fix', async () => {
    const mount: Mount = { type: 'nosuchfs', source: 'none', target: '', options: [] }
    await expect(mountAll([mount], make('m'))).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      message: expect.stringContaining('nosuchfs'),
      fix: expect.any(String),
      detail: { errno: 'ENODEV' },
    })
  })
})

/** Processes of which a command line names the directory. */
function processesOf(path: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path)
    } catch {
      return false // it has ended meanwhile
    }
  })
}

const hasFuse = spawnSync('fuse-overlayfs', ['--version']).status === 0 && existsSync('/dev/fuse')

describe.skipIf(!hasFuse)('mounts by a helper (needs fuse3, fuse-overlayfs and /dev/fuse)', () => {
  const fuseOverlay = (lowers: readonly string[], extra: readonly string[] = []): Mount => ({
    ...overlay(lowers, extra),
    type: 'fuse3.fuse-overlayfs',
  })

  test('fuse-overlayfs shows its lower directories, takes what is written, and is gone after unmount', async () => {
    writeFileSync(join(make('low'), 'both'), 'low')
    writeFileSync(join(make('high, and "more"'), 'both'), 'high')
    const lowers = [join(directory, 'high, and "more"').replaceAll(',', '\\,'), join(directory, 'low')]
    const mount = fuseOverlay(lowers, [`upperdir=${make('upper')}`, `workdir=${make('work')}`])
    const unmount = await mountAll([mount], make('m'))
    expect(readFileSync(join(directory, 'm/both'), 'utf8')).toBe('high')
    writeFileSync(join(directory, 'm/new'), 'n')
    rmSync(join(directory, 'm/both'))
    await unmount()
    expect(mountedBelow(directory)).toEqual([])
    expect(readdirSync(join(directory, 'upper')).sort()).toEqual(['both', 'new'])
    await expect.poll(() => processesOf(directory)).toEqual([])
  })

  test('a read-only one, as a view is, cannot be written, and goes where its target says', async () => {
    writeFileSync(join(make('low'), 'file'), 'x')
    make('source/inner')
    const mounts = [
      bind(join(directory, 'source'), 'rw'),
      { ...fuseOverlay([join(directory, 'low')]), target: 'inner' },
    ]
    const unmount = await mountAll(mounts, make('m'))
    expect(readFileSync(join(directory, 'm/inner/file'), 'utf8')).toBe('x')
    expect(() => writeFileSync(join(directory, 'm/inner/new'), 'x')).toThrow('EROFS')
    await unmount()
    expect(mountedBelow(directory)).toEqual([])
  })

  test('what the helper says of a mount that it cannot make is in the error, and nothing stays', async () => {
    const look = withMounted([fuseOverlay([join(directory, 'nowhere')])], async () => undefined, options())
    await expect(look).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      message: expect.stringMatching(/mount\.fuse3 failed on "fuse3\.fuse-overlayfs mount.*nowhere/s),
      detail: { call: 'mount.fuse3' },
    })
    expect(readdirSync(join(directory, 'places')).filter((name) => !name.startsWith('.'))).toEqual([])
    expect(mountedBelow(directory)).toEqual([])
  })

  test('of a killed runner it is unmounted by the next, and its process goes', { timeout: 20_000 }, async () => {
    writeFileSync(join(make('low'), 'file'), 'x')
    const module = new URL('../../functions/linux/mounted.ts', import.meta.url).href
    const code = `import { withMounted } from ${JSON.stringify(module)}
      await withMounted([${JSON.stringify(fuseOverlay([join(directory, 'low')]))}], async () => {
        console.log('mounted')
        await new Promise((resolve) => setTimeout(resolve, 60000))
      }, ${JSON.stringify(options())})`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(mountedBelow(directory)).toHaveLength(1)
    expect(recoverMounts(join(directory, 'places'))).toBe(1)
    expect(mountedBelow(directory)).toEqual([])
    await expect.poll(() => processesOf(directory)).toEqual([])
  })
})

test.each(['fuse3.no-such-program', 'fuse.no-such-program'])(
  'a helper that is not there is named: %s',
  async (type) => {
    const mount: Mount = { type, source: 'none', target: '', options: [] }
    await expect(mountAll([mount], make('m'))).rejects.toMatchObject({
      code: 'MOUNT_HELPER_MISSING',
      message: expect.stringContaining(`mounts of type ${type} are made by the program`),
      fix: expect.any(String),
    })
  },
)

describe('withMounted', () => {
  test('the mount is there for the function and gone afterwards', async () => {
    writeFileSync(join(make('source'), 'file'), 'x')
    const seen = await withMounted([bind(join(directory, 'source'), 'rw')], async (at) => readdirSync(at), options())
    expect(seen).toEqual(['file'])
    expect(readdirSync(join(directory, 'places'))).toEqual(['.lock'])
  })

  test('it is gone after an error, which comes through', async () => {
    const failure = new Error('mine')
    const failing = withMounted([bind(make('source'))], () => Promise.reject(failure), options())
    await expect(failing).rejects.toBe(failure)
    expect(readdirSync(join(directory, 'places'))).toEqual(['.lock'])
    expect(mountedBelow(directory)).toEqual([])
  })

  test('nothing is left after a mount that fails', async () => {
    await expect(withMounted([overlay(['/nowhere'])], async () => 1, options())).rejects.toThrow('ENOENT')
    expect(readdirSync(join(directory, 'places'))).toEqual(['.lock'])
  })

  test('a directory still in use at the end is detached, and its content stays', async () => {
    writeFileSync(join(make('source'), 'file'), 'x')
    const user = await withMounted(
      [bind(join(directory, 'source'))],
      async (cwd) => {
        const child = spawn('sleep', ['60'], { cwd })
        await once(child, 'spawn')
        return child
      },
      options(),
    )
    try {
      expect(mountedBelow(directory)).toEqual([])
      expect(readdirSync(join(directory, 'source'))).toEqual(['file'])
      expect(readdirSync(join(directory, 'places'))).toEqual(['.lock'])
    } finally {
      user.kill()
      await once(user, 'exit')
    }
  })

  test('what a killed runner left is recovered, what a living one holds is not', async () => {
    const places = options().directory
    writeFileSync(join(make('source'), 'file'), 'x')
    const module = new URL('../../functions/linux/mounted.ts', import.meta.url).href
    const code = `import { withMounted } from ${JSON.stringify(module)}
      await withMounted([{ type: 'bind', source: process.argv[1], target: '', options: ['rbind'] }], async () => {
        console.log('mounted')
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      }, { directory: process.argv[2] })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code, join(directory, 'source'), places], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    expect(recoverMounts(places)).toBe(0)
    expect(mountedBelow(directory)).toHaveLength(1)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(recoverMounts(places)).toBe(1)
    expect(mountedBelow(directory)).toEqual([])
    expect(readdirSync(places)).toEqual(['.lock'])
    expect(existsSync(join(directory, 'source/file'))).toBe(true)
  })

  test('runners that come and go side by side do not take what another is about to remove for left behind', async () => {
    const places = options().directory
    make('source')
    const module = new URL('../../functions/linux/mounted.ts', import.meta.url).href
    const code = `import { withMounted } from ${JSON.stringify(module)}
      for (let round = 0; round < 300; round++) {
        await withMounted([{ type: 'bind', source: process.argv[1], target: '', options: ['rbind'] }], async () => {}, {
          directory: process.argv[2] })
      }`
    const runners = [1, 2, 3].map(async () => {
      const args = ['--input-type=module', '-e', code, join(directory, 'source'), places]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
      let stderr = ''
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      await once(child, 'close')
      return /^Error: .*$/mu.exec(stderr)?.[0] ?? 'well'
    })
    expect(await Promise.all(runners)).toEqual(['well', 'well', 'well'])
    expect(readdirSync(places)).toEqual(['.lock'])
  })
})

describe('options', () => {
  test('flags, propagation, data and loop are told apart; the last of ro and rw counts', () => {
    expect(parseMountOptions(['ro', 'rbind', 'rw', 'rprivate', 'index=off', 'loop', 'defaults', ''])).toEqual({
      flags: 0x5000,
      propagation: (1 << 18) | 0x4000,
      data: ['index=off'],
      loop: true,
    })
  })

  test("options for containerd's mount manager are refused", () => {
    expect(() => parseMountOptions(['X-containerd.mkdir.path=/x'])).toThrow(
      expect.objectContaining({ code: 'FAILED_PRECONDITION' }),
    )
  })

  test('escaped colons belong to a lower directory', () => {
    expect(lowerDirectories([String.raw`lowerdir=/a\:b:/c`, 'index=off'])).toEqual(['/a:b', '/c'])
    expect(lowerDirectories(['index=off'])).toEqual([])
  })
})
