/** What JSON can say, as the parser gives it. */

export type JsonValue = null | boolean | number | JsonDecimal | string | JsonValue[] | JsonObject
export interface JsonObject {
  [key: string]: JsonValue
}

/**
 * A number that is written with a fraction or an exponent, be it a whole one. Go's decoder takes none such for a whole
 * number, so `1038.0` is a size to JavaScript and an error to containerd.
 */
export class JsonDecimal {
  readonly lexeme: string

  constructor(lexeme: string) {
    this.lexeme = lexeme
  }

  /** The number, for whoever writes the value down again. */
  toJSON(): number {
    return Number(this.lexeme)
  }
}
