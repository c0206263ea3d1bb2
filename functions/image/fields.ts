/** Reads the fields of a JSON document, with errors that name the field by its path. */
import { LayercastError } from '../errors.ts'
import type { Code } from '../errors.ts'
import { parseDigest } from './digest.ts'
import type { Digest } from './digest.ts'
import { JsonDecimal, type JsonValue } from './json-value.ts'
import { formatPath } from './json.ts'
import type { JsonPath } from './json.ts'
import { quote } from './quote.ts'

/** The most bytes that the annotations of one descriptor may have. */
const MAX_ANNOTATION_BYTES = 64 * 1024
/** How many characters of a number a message shows. */
const MAX_SHOWN = 80

/**
 * A value in a JSON document, with its path, so that an error can say where it is. `null` counts as absent, as in the Go
 * programs that write these documents.
 */
export class Field {
  readonly #value: JsonValue | undefined
  readonly #path: JsonPath
  readonly #what: string
  readonly #code: Code

  /**
   * @param what what the document is, for messages: `manifest`
   * @param code the error code for a wrong field
   */
  constructor(value: JsonValue | undefined, what: string, code: Code = 'DOCUMENT_FIELD_INVALID', path: JsonPath = []) {
    this.#value = value
    this.#path = path
    this.#what = what
    this.#code = code
  }

  get present(): boolean {
    return this.#value !== undefined && this.#value !== null
  }

  /** Where this is, with the document's name: `manifest: layers[2].size`. */
  get place(): string {
    return `${this.#what}: ${formatPath(this.#path)}`
  }

  /** Whether the object has this key, even with null. */
  has(key: string): boolean {
    return Object.hasOwn(this.#object(), key)
  }

  /** The field of this object. A field that is not there is one that is not present. */
  get(key: string): Field {
    const object = this.#object()
    return this.#child(Object.hasOwn(object, key) ? object[key] : undefined, key)
  }

  /** The elements of this array; none when it is absent. */
  items(): Field[] {
    if (!this.present) return []
    if (!Array.isArray(this.#value)) this.fail('an array')
    return this.#value.map((value, index) => this.#child(value, index))
  }

  string(): string {
    if (typeof this.#value !== 'string') this.fail('a string')
    return this.#value
  }

  optionalString(): string | undefined {
    return this.present ? this.string() : undefined
  }

  /** A size in bytes. */
  size(): number {
    const value = this.#value
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      this.fail(`a whole number of bytes from 0 to ${Number.MAX_SAFE_INTEGER}, without a fraction or an exponent`)
    }
    return value === 0 ? 0 : value
  }

  number(): number {
    if (this.#value instanceof JsonDecimal) return this.#value.toJSON()
    if (typeof this.#value !== 'number') this.fail('a number')
    return this.#value
  }

  /** A whole number, written as one. */
  integer(): number {
    if (typeof this.#value !== 'number') this.fail('a whole number, without a fraction or an exponent')
    return this.#value
  }

  digest(): Digest {
    return parseDigest(this.string(), this.place)
  }

  /** An object of strings, such as annotations; undefined when it is absent. DOCUMENT_TOO_LARGE beyond the limit. */
  strings(maxBytes = MAX_ANNOTATION_BYTES): Record<string, string> | undefined {
    if (!this.present) return undefined
    const entries = Object.keys(this.#object()).map((key): [string, string] => [key, this.get(key).string()])
    const length = entries.reduce((sum, [key, value]) => sum + byteLength(key) + byteLength(value), 0)
    if (length > maxBytes) {
      throw new LayercastError(
        'DOCUMENT_TOO_LARGE',
        `${this.place} has ${length} bytes, more than the ${maxBytes} allowed`,
        {
          fix: 'Build the image with smaller annotations.',
          detail: { size: length, limit: maxBytes },
        },
      )
    }
    return Object.fromEntries(entries)
  }

  /**
   * Refuses a key that differs from one of these in case only. Go's decoder takes it for that field, so that containerd would
   * see another document than layercast.
   */
  exactly(...keys: string[]): this {
    const folded = new Map(keys.map((key) => [fold(key), key]))
    for (const key of Object.keys(this.#object())) {
      const due = folded.get(fold(key))
      if (due !== undefined && due !== key) this.#child(undefined, key).fail(`spelt ${quote(due)}`)
    }
    return this
  }

  /** Refuses every other key. */
  only(...keys: string[]): this {
    const unknown = Object.keys(this.#object()).find((key) => !keys.includes(key))
    if (unknown !== undefined) this.get(unknown).fail('left out: there is no such field')
    return this
  }

  /**
   * Throws the error for a wrong value.
   * @param due what it must be, to follow "must be"
   */
  fail(due: string, fix?: string): never {
    const value = this.#value
    const shown = value instanceof JsonDecimal ? value.lexeme.slice(0, MAX_SHOWN) : quote(value)
    const found = value === undefined ? 'it is missing' : `it is ${shown}`
    throw new LayercastError(this.#code, `${this.place} must be ${due}, but ${found}`, {
      fix: fix ?? `Give the ${this.#what} unchanged, as it was made, or make it again.`,
      detail: { path: formatPath(this.#path) },
    })
  }

  #object(): Record<string, JsonValue> {
    const value = this.#value
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof JsonDecimal)
      this.fail('an object')
    return value
  }

  #child(value: JsonValue | undefined, step: string | number): Field {
    return new Field(value, this.#what, this.#code, [...this.#path, step])
  }
}

/** How many bytes a text has in UTF-8, which is what containerd counts. */
export function byteLength(text: string): number {
  let length = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    // Each half of a surrogate pair counts two, because the pair has four.
    if (code > 0x7f) length += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1
  }
  return length
}

function fold(key: string): string {
  return key.toUpperCase().toLowerCase()
}
