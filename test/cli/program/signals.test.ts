/** Signals, and packages that listen for them. */

import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { keepingSignals, onSignals } from '../../../functions/cli/program/signals.ts'
import { LayercastError } from '../../../functions/errors.ts'

class FakeProcess extends EventEmitter {
  exits: number[] = []
  exit = (status?: number | string | null): never => {
    this.exits.push(Number(status))
    return undefined as never
  }
}

describe('a signal', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])('%s aborts once, and ends the program with %d the second time', (name, status) => {
    const process = new FakeProcess()
    const signals = onSignals(process as never)
    expect([signals.signal.aborted, signals.status]).toEqual([false, undefined])
    process.emit(name)
    expect([signals.signal.aborted, signals.status, process.exits]).toEqual([true, status, []])
    expect(signals.signal.reason).toBeInstanceOf(LayercastError)
    process.emit(name)
    expect(process.exits).toEqual([status])
  })

  test("is nobody's after stop", () => {
    const process = new FakeProcess()
    onSignals(process as never).stop()
    expect(process.eventNames()).toEqual([])
  })

  test('is not left to a package that would exit at once', async () => {
    const theirs = (): void => undefined
    const ours = (): void => undefined
    process.on('SIGTERM', ours)
    try {
      const result = await keepingSignals(async () => {
        process.on('SIGTERM', theirs)
        return 'done'
      })
      expect(result).toBe('done')
      expect(process.listeners('SIGTERM')).toContain(ours)
      expect(process.listeners('SIGTERM')).not.toContain(theirs)
    } finally {
      process.off('SIGTERM', ours)
      process.off('SIGTERM', theirs)
    }
  })
})
