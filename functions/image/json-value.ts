/** JSON values as the parser gives them. */

export type JsonValue = null | boolean | number | JsonDecimal | string | JsonValue[] | JsonObject
export interface JsonObject {
  [key: string]: JsonValue
}

/**
 * A number that is written with a fraction or an exponent, even a whole one. Go's decoder does not accept it as an integer:
 * `1038.0` is a size to JavaScript and an error to containerd.
 */
export class JsonDecimal {
  readonly lexeme: string

  constructor(lexeme: string) {
    this.lexeme = lexeme
  }

  /** The number, where the value is serialised again. */
  toJSON(): number {
    return Number(this.lexeme)
  }
}
