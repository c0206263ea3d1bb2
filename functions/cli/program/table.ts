/** Tables and lists of fields, as text. */

import { stripVTControlCharacters } from 'node:util'
import { printable } from './text.ts'

export interface Column<Row> {
  title: string
  /** An empty text is shown as `-`. */
  value(row: Row): string
  align?: 'left' | 'right'
}

/** A heading, then one line for each row, columns two spaces apart, without trailing spaces. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<NoInfer<Row>>[]): string {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => oneLine(column.value(row)) || '-')),
  ]
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => width(line[index] ?? ''))))
  return cells
    .map((line) =>
      line
        .map((cell, index) => {
          const blanks = ' '.repeat((widths[index] ?? 0) - width(cell))
          return columns[index]?.align === 'right' ? blanks + cell : cell + blanks
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** One line `name  value` for each pair, the values aligned. Pairs without a value are left out. */
export function fields(pairs: readonly (readonly [name: string, value: string | undefined])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined)
  const widest = Math.max(0, ...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${name.padEnd(widest)}  ${oneLine(value)}\n`).join('')
}

function width(cell: string): number {
  return [...stripVTControlCharacters(cell)].length
}

function oneLine(text: string): string {
  return printable(text).replaceAll(/[\t\n]/gu, ' ')
}
