/** The first operator token of a server on this machine: made once, and kept in a file that only its owner can read. */
import { createHash, randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { LayercastError } from '../errors.ts'

const TOKEN = /^lc_operator_[a-z0-9]{1,64}_[A-Za-z0-9_-]{43}$/

/** The sha256 of the operator token in a file, in hex. A missing file is made. REQUEST_INVALID if the file holds anything else. */
export async function operatorTokenHash(file: string): Promise<string> {
  const text = (await existing(file)) ?? (await make(file))
  if (!TOKEN.test(text)) {
    throw new LayercastError('REQUEST_INVALID', `${file} holds no operator token`, {
      fix: 'Put the token back, or remove the file to have a new one made.',
    })
  }
  return createHash('sha256').update(text).digest('hex')
}

async function existing(file: string): Promise<string | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim()
    await chmod(file, 0o600)
    return text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function make(file: string): Promise<string> {
  const id = randomBytes(8).toString('hex')
  const text = `lc_operator_${id}_${randomBytes(32).toString('base64url')}`
  // wx: where two servers start at once, the second fails instead of replacing the token of the first.
  await writeFile(file, `${text}\n`, { mode: 0o600, flag: 'wx' })
  return text
}
