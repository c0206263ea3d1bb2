/** Values from outside, made safe to show in a message. */
const SHOWN = 80
const SHOWN_ITEMS = 3
/** Characters that JSON does not escape and that change what a terminal shows: controls, and those that reverse or hide text. */
const UNSEEN = /[\u007F-\u009F\u00AD\u061C\u200B-\u200F\u2028-\u202F\u2060-\u206F\uFEFF]/g

/** A value as JSON, with control characters escaped, and cut where it is long. */
export function quote(value: unknown): string {
  const text = (JSON.stringify(value) ?? String(value)).replace(UNSEEN, escape)
  if (text.length <= SHOWN) return text
  // A cut within a surrogate pair would leave half of it.
  return `${text.slice(0, SHOWN).replace(/[\uD800-\uDBFF]$/, '')}… (${text.length} characters)`
}

/** The first few of many values. */
export function quoteSome(values: readonly unknown[]): string {
  const shown = values.slice(0, SHOWN_ITEMS).map(quote).join(', ')
  return values.length > SHOWN_ITEMS ? `${shown} and ${values.length - SHOWN_ITEMS} more` : shown
}

function escape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}
