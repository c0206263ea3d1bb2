/** Work that is done once for all who ask for it, unless it fails. */

/** Starts `work` when its result is first asked for, and gives that result to everybody. After a failure it starts anew. */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined
  return async () => {
    const mine = (begun ??= work())
    try {
      return await mine
    } catch (error) {
      if (begun === mine) begun = undefined
      throw error
    }
  }
}
