/** Progress bars on a terminal. */

import type { Streams } from './console.ts'
import { bytes } from './text.ts'

/** One line of the display, such as a layer's. */
interface ProgressLine {
  label: string
  /** What is being done to it now, such as `applying`. */
  state: string
  /** In bytes, as `total`. */
  done?: number
  /** No bar where absent. */
  total?: number
}

export interface Progress {
  /** Sets the line of this key. Lines are in the order of their first call. */
  set(key: string, line: ProgressLine): void
  /** Draws for the last time and leaves what is drawn. */
  end(): void
}

const FRAME_MS = 100
const BAR = 24

/** Bars on stderr where that is a terminal, and nothing where it is not. */
export function createProgress({ stderr }: Streams): Progress {
  if (!stderr.isTTY) return { set: () => undefined, end: () => undefined }
  const lines = new Map<string, ProgressLine>()
  let drawn = 0
  let timer: NodeJS.Timeout | undefined

  const draw = (): void => {
    timer = undefined
    // A terminal that does not know its size says 0.
    const columns = Math.max(20, stderr.columns || 80) - 1
    // The cursor cannot go up beyond the terminal's first line, so that only as many lines are drawn as it has.
    const text = fit([...lines.values()], (stderr.rows || 24) - 2).map((line) => render(line).slice(0, columns))
    const up = drawn > 0 ? `\u001B[${drawn}A` : ''
    stderr.write(`${up}\u001B[0J${text.map((line) => `${line}\n`).join('')}`)
    drawn = text.length
  }
  return {
    set: (key, line) => {
      lines.set(key, line)
      timer ??= setTimeout(draw, FRAME_MS).unref()
    },
    end: () => {
      if (timer !== undefined) clearTimeout(timer)
      if (lines.size > 0) draw()
    },
  }
}

/** At most so many lines: those of what is not done, the newest. */
function fit(lines: readonly ProgressLine[], most: number): readonly ProgressLine[] {
  if (lines.length <= most) return lines
  const busy = lines.filter(({ state }) => state !== 'done')
  return (busy.length > 0 ? busy : lines).slice(-Math.max(1, most))
}

function render({ label, state, done = 0, total }: ProgressLine): string {
  const start = `${label}  ${state.padEnd(10)}`
  if (total === undefined || total === 0) return start.trimEnd()
  const share = state === 'done' ? 1 : Math.min(1, done / total)
  const filled = Math.round(share * BAR)
  return `${start}  ${'█'.repeat(filled)}${'░'.repeat(BAR - filled)}  ${bytes(Math.round(share * total))} / ${bytes(total)}`
}
