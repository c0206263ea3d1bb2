import { readFile } from 'node:fs/promises'
import type { Client } from '../../contract/client.ts'
import { LayercastError } from '../../errors.ts'
import type { Context } from './context.ts'
import { fileError } from './files.ts'

/** The client of the server that the options name; its token is one, or `@FILE`. */
export async function clientOf(
  context: Context,
  options: { server: string; token: string | undefined },
): Promise<Client> {
  const { createClient } = await import('../../contract/client.ts')
  return createClient({
    server: options.server,
    signal: context.signal,
    ...(options.token !== undefined && { token: await readToken(options.token) }),
  })
}

/** The same, for what operators alone may do: without a token it says so before it asks. */
export async function operatorClient(
  context: Context,
  options: { server: string; token: string | undefined },
): Promise<Client> {
  if (options.token === undefined) {
    throw new LayercastError('TOKEN_MISSING', 'this needs an operator token', {
      fix: "Give --token @FILE or set LAYERCAST_TOKEN; 'layercast serve' says where it keeps its operator token.",
    })
  }
  return clientOf(context, options)
}

/**
 * A token as an option gives it: itself, or `@FILE`, which keeps it out of the list of processes.
 *
 * @throws LayercastError FILE_NOT_FOUND; USAGE for an empty file
 */
export async function readToken(option: string): Promise<string> {
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
