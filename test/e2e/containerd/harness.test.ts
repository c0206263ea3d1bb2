import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, copyFile, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { describeContainerd } from '../../support/containerd/describe.ts'
import { mountsBelow } from '../../support/containerd/directory.ts'
import { alive } from '../../support/containerd/processes.ts'
import { startContainerd, type TestContainerd } from '../../support/containerd/start.ts'

const run = promisify(execFile)
const BUSYBOX = '/bin/busybox'
const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
const busybox = await exists(BUSYBOX)
const support = join(import.meta.dirname, '../../support/containerd/start.ts')

await describeContainerd('a private containerd', (version) => {
  let containerd: TestContainerd | undefined
  afterEach(() => containerd?.stop())

  test.skipIf(!busybox)('takes its containers, mounts and files with it when it is stopped', async () => {
    containerd = await startContainerd({ version })
    const { directory, pid } = containerd
    const name = `sleeper-${pid}`
    const rootfs = join(directory, 'rootfs')
    await mkdir(join(rootfs, 'bin'), { recursive: true })
    await copyFile(BUSYBOX, join(rootfs, 'bin', 'busybox'))
    await containerd.ctr('run', '-d', '--rootfs', rootfs, name, '/bin/busybox', 'sleep', '1000')
    const sleeper = Number(new RegExp(`${name}\\s+(\\d+)\\s+RUNNING`).exec(await containerd.ctr('tasks', 'ls'))?.[1])
    expect(alive(sleeper)).toBe(true)
    const group = new RegExp(`^\\d+:([^:]*):(/.*${name}.*)$`, 'm').exec(
      await readFile(`/proc/${sleeper}/cgroup`, 'utf8'),
    )
    const bundle = join(directory, 'state', 'io.containerd.runtime.v2.task', 'default', name)
    const { stdout } = await run('grep', ['-rhoE', '/run/containerd/s/[0-9a-f]+', bundle])
    const socket = stdout.split('\n')[0] ?? ''
    expect(await exists(socket)).toBe(true)
    const mounted = join(directory, 'mounted')
    await mkdir(mounted)
    await run('mount', ['-t', 'tmpfs', 'tmpfs', mounted])

    await containerd.stop()
    expect([alive(sleeper), alive(pid)]).toEqual([false, false])
    expect(await mountsBelow(directory)).toEqual([])
    const places = [
      directory,
      socket,
      join('/run/containerd/runc/default', name),
      join('/sys/fs/cgroup', group?.[1] ?? '', group?.[2] ?? 'none'),
    ]
    expect(await Promise.all(places.map(exists))).toEqual(places.map(() => false))
  })

  test('dies with a test process that is killed, and the next one clears up after it', async () => {
    const script = `
      import { startContainerd } from ${JSON.stringify(support)}
      const { directory, pid } = await startContainerd({ version: ${JSON.stringify(version)} })
      console.log(JSON.stringify({ directory, pid }))
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(child.stdout, 'data')
    const { directory, pid } = JSON.parse(String(line)) as { directory: string; pid: number }
    expect(alive(pid)).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await expect.poll(() => alive(pid)).toBe(false)
    expect(await exists(directory)).toBe(true)
    containerd = await startContainerd({ version })
    expect(await exists(directory)).toBe(false)
  })
})
