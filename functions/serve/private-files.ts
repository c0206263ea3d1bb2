/** The data directory is for its owner alone: directories of mode 0700, files of 0600, also those that were there before. */
import { chmodSync, lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { LayercastError } from '../errors.ts'
import { makeDirectory } from '../linux/make-directory.ts'

/** The names that a server makes in its data directory. Nothing else in it is touched. */
const OWN = ['operator-token', 'lock', 'lock-journal', 'state']

/**
 * Makes the directory, or takes the rights of other users from one that is there. FAILED_PRECONDITION where others may need
 * these rights: the directory is another user's, or sticky, or others may enter it and it holds no file of a server.
 */
export function closeDirectory(root: string): void {
  makeDirectory(root, 0o700)
  const { mode, uid } = statSync(root)
  const names = readdirSync(root)
  const foreign = (mode & 0o077) !== 0 && names.length > 0 && !names.some((name) => OWN.includes(name))
  if (uid !== process.getuid?.() || (mode & 0o1000) !== 0 || foreign) {
    throw new LayercastError('FAILED_PRECONDITION', `${root} is not for a server alone: others use it too`, {
      fix: 'Name an empty directory of this user with --data.',
      detail: { root },
    })
  }
  chmodSync(root, 0o700)
  for (const name of OWN) closeTree(join(root, name))
}

/** Runs `make` under a umask of 077. It must make its files, or start the process that makes them, before it returns. */
export function withPrivateUmask<T>(make: () => T): T {
  const before = process.umask(0o077)
  try {
    return make()
  } finally {
    process.umask(before)
  }
}

/** Symbolic links are not followed: what they lead to is not part of the directory. */
function closeTree(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined || found.isSymbolicLink()) return
  if (found.uid !== process.getuid?.()) {
    throw new LayercastError('FAILED_PRECONDITION', `${path} is another user's, who may know or change what is in it`, {
      fix: 'Remove it, or name another directory with --data.',
    })
  }
  chmodSync(path, found.isDirectory() ? 0o700 : 0o600)
  if (found.isDirectory()) for (const name of readdirSync(path)) closeTree(join(path, name))
}
