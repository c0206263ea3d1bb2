import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { namespaceOf, orGone, processStat } from '../../functions/linux/process.ts'

test('a process has a state and a start time, whatever its command is called', async () => {
  // The shell's own name, field 2, holds what separates the fields.
  const script = 'printf ") Z (" > /proc/self/comm && echo && read line'
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] })
  try {
    await once(child.stdout, 'data')
    const stat = processStat(child.pid ?? 0)
    expect(stat?.state).toMatch(/^[RSD]$/)
    expect(Number(stat?.startTime)).toBeGreaterThanOrEqual(Number(processStat('self')?.startTime))
  } finally {
    child.stdin.end()
    await once(child, 'close')
  }
})

test('a process that is not there has none', () => {
  // Beyond the most that Linux numbers.
  expect(processStat(2 ** 22 + 1)).toBeUndefined()
  expect(orGone(() => namespaceOf('mnt', 2 ** 22 + 1))).toBeUndefined()
  expect(() => namespaceOf('mnt', 2 ** 22 + 1)).toThrow('ENOENT')
})

test('a namespace is told by the number of its inode', () => {
  expect(namespaceOf('pid')).toBe(statSync('/proc/self/ns/pid').ino)
  expect(namespaceOf('mnt', process.pid)).toBe(statSync('/proc/self/ns/mnt').ino)
})

test('a mistake of the looker is not taken for a process that is gone', () => {
  expect(() =>
    orGone(() => {
      throw new TypeError('a mistake')
    }),
  ).toThrow('a mistake')
})
