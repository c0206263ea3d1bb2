/** The rows of a benchmark, and how they are shown. */
import { cpus } from 'node:os'

/** One comparison: how many times as fast as the peer the work is done here. */
export interface Row {
  work: string
  against: string
  /** The peer's time by ours: above 1, ours is faster. */
  ratio: number
  /** The least that was aimed at; null where nothing was. */
  goal: number | null
  met: boolean
  /** What both did, for a person: MB/s, or a time. */
  figures?: string
}

export function row(work: string, against: string, ratio: number, goal: number | null, figures?: string): Row {
  const rounded = Math.round(ratio * 100) / 100
  return { work, against, ratio: rounded, goal, met: goal === null || rounded >= goal, ...(figures && { figures }) }
}

/** Megabytes a second, of `bytes` done in `ms`. */
export function rate(bytes: number, ms: number): string {
  return `${Math.round(bytes / 1000 / ms)} MB/s`
}

/** The table for a terminal or a README. */
export function reportText(rows: readonly Row[]): string {
  const cells = [
    ['work', 'against', 'ratio', 'goal', '', 'ours, theirs'],
    ...rows.map((r) => [
      r.work,
      r.against,
      `${r.ratio.toFixed(2)} ×`,
      r.goal === null ? '' : `${r.goal} ×`,
      r.goal === null ? '' : r.met ? 'met' : 'missed',
      r.figures ?? '',
    ]),
  ]
  const widths = cells[0]?.map((_, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0))) ?? []
  const lines = cells.map((line) => `| ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  return `${lines.join('\n')}\n`
}

/** What the figures hold for. */
export function machine(): string {
  const [first] = cpus()
  return `${first?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`
}
