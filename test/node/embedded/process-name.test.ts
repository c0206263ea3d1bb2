import { describe, expect, test, vi } from 'vitest'
import { isAbandoned, isProcessName, processName } from '../../../functions/node/embedded/process-name.ts'

const DAY_MS = 86_400_000

describe("a running process's file", () => {
  test('is its own on a clock that was set two days ahead', () => {
    const name = processName()
    expect(isProcessName(name)).toBe(true)
    const wall = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 2 * DAY_MS)
    expect(isAbandoned(name, Date.now() - 2 * DAY_MS)).toBe(false)
    wall.mockRestore()
  })

  test('belongs to nobody once the process is gone, or when it is old and of a process that cannot be looked for', () => {
    const [pid, start, namespace, random] = processName().split('.')
    const gone = [pid, Number(start) + 1, namespace, random].join('.')
    expect(isAbandoned(gone, Date.now())).toBe(true)
    const elsewhere = [pid, start, Number(namespace) + 1, random].join('.')
    expect(isAbandoned(elsewhere, Date.now())).toBe(false)
    expect(isAbandoned(elsewhere, Date.now() - 2 * DAY_MS)).toBe(true)
  })
})
