/** The client of layercast's HTTP API, from a verb's options. */

import { readFile } from 'node:fs/promises'
import type { Client } from '../../../contract/client.ts'
import { LayercastError } from '../../../errors.ts'
import type { Context } from '../../program/context.ts'
import { fileError } from '../../program/files.ts'

interface ServerOptions {
  server: string
  /** The token itself, or `@FILE`. */
  token: string | undefined
}

/** A client of the server that the options name, with or without a token. Errors as `readTokenOption`. */
export async function clientOf(context: Context, { server, token }: ServerOptions): Promise<Client> {
  const { createClient } = await import('../../../contract/client.ts')
  return createClient({
    server,
    signal: context.signal,
    token: token === undefined ? undefined : await readTokenOption(token),
  })
}

/** A client for what only operators may do. TOKEN_MISSING, before the server is asked, where no token is given. */
export async function operatorClient(context: Context, options: ServerOptions): Promise<Client> {
  if (options.token === undefined) {
    throw new LayercastError('TOKEN_MISSING', 'this needs an operator token', {
      fix: "Give --token @FILE or set LAYERCAST_TOKEN; 'layercast serve' says where it keeps its operator token.",
    })
  }
  return clientOf(context, options)
}

/**
 * A token as an option gives it: the token itself, or `@FILE`, which keeps it out of the list of processes.
 *
 * @throws LayercastError FILE_NOT_FOUND; USAGE for a file that does not hold exactly one token
 */
export async function readTokenOption(option: string): Promise<string> {
  if (!option.startsWith('@')) return option
  const file = option.slice(1)
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError(file, error)
  })
  const token = text.trim()
  if (token === '' || /\s/u.test(token)) {
    throw new LayercastError('USAGE', `${file} does not hold one token`, {
      fix: 'Name a file that holds the token and nothing else.',
    })
  }
  return token
}
