/** Progress bars. */

import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createProgress } from '../../../functions/cli/program/progress.ts'

describe('progress', () => {
  test('says nothing in a pipe', () => {
    const { streams, read } = screen(false)
    const progress = createProgress(streams)
    progress.set('a', { label: 'layer', state: 'applying', done: 1, total: 2 })
    progress.end()
    expect(read()).toBe('')
  })

  test('draws a bar on a terminal, within its width', () => {
    const { streams, read } = screen(true)
    const progress = createProgress(streams)
    progress.set('a', { label: 'layer 1/1', state: 'applying', done: 512, total: 1024 })
    progress.end()
    expect(read()).toContain('████████████░░░░░░░░░░░░  512 B / 1.0 KiB')
    for (const line of read().split('\n')) expect(line.length).toBeLessThanOrEqual(80 + '\u001B[0J'.length)
  })
})

/** A stream that keeps what is written to it. */
function screen(isTTY: boolean) {
  let text = ''
  const stream = Object.assign(
    new Writable({
      write: (chunk, _encoding, done) => {
        text += String(chunk)
        done()
      },
    }),
    { isTTY, columns: 80, rows: 24 },
  )
  return { streams: { stdout: stream, stderr: stream }, read: () => text }
}
