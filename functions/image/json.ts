/**
 * A strict JSON parser (RFC 8259 within RFC 7493, I-JSON) for documents from outside. Readers of JSON differ on a key that is
 * given twice, bytes that are not UTF-8, half a surrogate pair, and bytes after the end. Hostile documents use that, so each
 * of these is an error here: what layercast reads is what every other reader reads.
 */
import { LayercastError } from '../errors.ts'
import type { Code } from '../errors.ts'
import { JsonDecimal, type JsonObject, type JsonValue } from './json-value.ts'
import { quote } from './quote.ts'

export type JsonPath = readonly (string | number)[]

export interface JsonLimits {
  /** What the document is, for messages: `manifest`. */
  what?: string
  /** In bytes; DOCUMENT_TOO_LARGE beyond. */
  maxBytes?: number
  /** How many arrays and objects may lie in each other; JSON_TOO_DEEP beyond. */
  maxDepth?: number
  /** Whether numbers with a fraction or an exponent come as JsonDecimal: for documents that Go programs read as well. */
  decimals?: boolean
}

/** The most bytes that a manifest, an index or a config may have: what registries take. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
const MAX_DEPTH = 64

/**
 * Parses one JSON document. Errors: JSON_INVALID, JSON_DUPLICATE_KEY, JSON_TRAILING_BYTES, JSON_TOO_DEEP and
 * DOCUMENT_TOO_LARGE, each with the byte offset where it is.
 */
export function parseJSON(bytes: Uint8Array, limits: JsonLimits = {}): JsonValue {
  const { what = 'document', maxBytes = MAX_DOCUMENT_BYTES, maxDepth = MAX_DEPTH, decimals = false } = limits
  if (bytes.length > maxBytes) {
    throw new LayercastError(
      'DOCUMENT_TOO_LARGE',
      `${what}: ${bytes.length} bytes, more than the ${maxBytes} allowed`,
      {
        fix: `Give the ${what} document itself: it has at most ${maxBytes} bytes.`,
        detail: { size: bytes.length, limit: maxBytes },
      },
    )
  }
  return new Parser(decode(bytes, what), what, maxDepth, decimals).document()
}

/** A place in a document as people write it: `layers[2].annotations["a.b"]`. */
export function formatPath(path: JsonPath): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (!/^[A-Za-z_][\w-]*$/.test(step)) text += `[${quote(step)}]`
    else text += text === '' ? step : `.${step}`
  }
  return text === '' ? 'the document' : text
}

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    const offset = firstInvalid(bytes)
    throw new LayercastError('JSON_INVALID', `${what}: the bytes at offset ${offset} are not UTF-8`, {
      cause,
      fix: `Give the ${what} as JSON text in UTF-8, not compressed and not an archive.`,
      detail: { offset },
    })
  }
}

/** Where UTF-8 ends, found by halving: a prefix decodes as long as nothing wrong is in it. */
function firstInvalid(bytes: Uint8Array): number {
  let good = 0
  let bad = bytes.length
  while (good < bad) {
    const middle = (good + bad + 1) >> 1
    if (isPrefix(bytes.subarray(0, middle))) good = middle
    else bad = middle - 1
  }
  return good
}

function isPrefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true })
    return true
  } catch {
    return false
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const HEX4 = /^[0-9a-fA-F]{4}$/
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}
const QUOTE = 0x22
const BACKSLASH = 0x5c

class Parser {
  readonly #text: string
  readonly #what: string
  readonly #maxDepth: number
  readonly #decimals: boolean
  readonly #path: (string | number)[] = []
  #at = 0
  #depth = 0

  constructor(text: string, what: string, maxDepth: number, decimals: boolean) {
    this.#text = text
    this.#what = what
    this.#maxDepth = maxDepth
    this.#decimals = decimals
  }

  document(): JsonValue {
    if (this.#text.startsWith('\uFEFF')) this.#fail('JSON_INVALID', 'starts with a byte order mark', 0)
    this.#space()
    if (this.#at === this.#text.length) this.#fail('JSON_INVALID', 'is empty')
    const value = this.#value()
    this.#space()
    if (this.#at < this.#text.length) {
      this.#fail('JSON_TRAILING_BYTES', `goes on with ${quote(this.#text.slice(this.#at, this.#at + 8))} after its end`)
    }
    return value
  }

  #value(): JsonValue {
    switch (this.#text[this.#at]) {
      case '{':
        return this.#nested(() => this.#object())
      case '[':
        return this.#nested(() => this.#array())
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #nested<T>(read: () => T): T {
    if (this.#depth >= this.#maxDepth) this.#fail('JSON_TOO_DEEP', `is nested more than ${this.#maxDepth} deep`)
    this.#at++
    this.#depth++
    const value = read()
    this.#depth--
    return value
  }

  #object(): JsonObject {
    const object: JsonObject = {}
    this.#space()
    if (this.#take('}')) return object
    for (;;) {
      this.#space()
      if (this.#text.charCodeAt(this.#at) !== QUOTE) this.#unexpected('a key in double quotes')
      const start = this.#at
      const key = this.#string()
      this.#path.push(key)
      if (Object.hasOwn(object, key)) this.#fail('JSON_DUPLICATE_KEY', 'has this key twice', start)
      this.#space()
      if (!this.#take(':')) this.#unexpected('":"')
      this.#space()
      const value = this.#value()
      // Plain assignment to this one name would set the prototype.
      if (key === '__proto__')
        Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
      else object[key] = value
      this.#path.pop()
      this.#space()
      if (this.#take('}')) return object
      if (!this.#take(',')) this.#unexpected('"," or "}"')
    }
  }

  #array(): JsonValue[] {
    const array: JsonValue[] = []
    this.#space()
    if (this.#take(']')) return array
    for (;;) {
      this.#path.push(array.length)
      this.#space()
      array.push(this.#value())
      this.#path.pop()
      this.#space()
      if (this.#take(']')) return array
      if (!this.#take(',')) this.#unexpected('"," or "]"')
    }
  }

  #string(): string {
    const text = this.#text
    const first = this.#at
    let from = ++this.#at
    let whole = ''
    let escaped = false
    for (;;) {
      const code = text.charCodeAt(this.#at)
      if (code === QUOTE) break
      if (code === BACKSLASH) {
        whole += text.slice(from, this.#at) + this.#escape()
        from = this.#at
        escaped = true
      } else if (code >= 0x20) this.#at++
      else if (Number.isNaN(code)) this.#fail('JSON_INVALID', 'ends inside a string that starts here', first)
      else this.#fail('JSON_INVALID', `has the control character ${quote(text[this.#at])} unescaped in a string`)
    }
    whole += text.slice(from, this.#at++)
    // Text decoded from UTF-8 is well formed: only escapes can make half a pair.
    if (escaped && !whole.isWellFormed()) this.#fail('JSON_INVALID', 'has half a surrogate pair in a string', first)
    return whole
  }

  #escape(): string {
    const name = this.#text[this.#at + 1] ?? ''
    if (name === 'u') {
      const hex = this.#text.slice(this.#at + 2, this.#at + 6)
      if (!HEX4.test(hex)) this.#fail('JSON_INVALID', `has the bad escape ${quote(`\\u${hex}`)}`)
      this.#at += 6
      return String.fromCharCode(Number.parseInt(hex, 16))
    }
    const char = ESCAPES[name]
    if (char === undefined) this.#fail('JSON_INVALID', `has the bad escape ${quote(`\\${name}`)}`)
    this.#at += 2
    return char
  }

  #number(): number | JsonDecimal {
    NUMBER.lastIndex = this.#at
    const lexeme = NUMBER.exec(this.#text)?.[0]
    if (lexeme === undefined) this.#unexpected('a value')
    const value = Number(lexeme)
    if (!Number.isFinite(value)) this.#fail('JSON_INVALID', `has the number ${quote(lexeme)}, too large to hold`)
    this.#at += lexeme.length
    return this.#decimals && /[.eE]/.test(lexeme) ? new JsonDecimal(lexeme) : value
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#unexpected('a value')
    this.#at += word.length
    return value
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #unexpected(due: string): never {
    if (this.#at >= this.#text.length) this.#fail('JSON_INVALID', `ends where ${due} is due`)
    this.#fail(
      'JSON_INVALID',
      `has ${quote(String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0))} where ${due} is due`,
    )
  }

  #fail(code: Code, problem: string, at = this.#at): never {
    const offset = new TextEncoder().encode(this.#text.slice(0, at)).length
    const path = formatPath(this.#path)
    const where = this.#path.length === 0 ? `offset ${offset}` : `${path}, offset ${offset}`
    throw new LayercastError(code, `${this.#what} ${problem} (${where})`, {
      fix: `Give the ${this.#what} unchanged, as it was made: one well-formed JSON document.`,
      detail: { offset, path },
    })
  }
}
