/** The last check of a tree: one program runs in it, before it is known under its name. */
import { NspawnError } from '../errors.ts'
import { ephemeralMachineName } from '../images/names.ts'
import { runContainer } from '../runtime/client.ts'
import { defaultSettings } from '../settings/settings.ts'
import type { CreateContext } from './create-context.ts'
import { usersOfContainer, type TreeUsers } from './run-in-tree.ts'

/**
 * Runs `true` in the tree, which is not changed by it: as one of the users that the tree belongs to, or of a range of its
 * own where the file system can map owners.
 *
 * @throws NspawnError `BOOTSTRAP_VERIFY`
 */
export async function tryTree(
  root: string,
  context: CreateContext,
  users: 'private' | 'owners' = 'private',
): Promise<void> {
  let why: { readonly cause?: unknown; readonly status?: number }
  try {
    const status = await runTrue(root, context, users)
    if (status === 0) return
    why = { status }
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'CANCELED') throw error
    why = { cause: error }
  }
  throw new NspawnError('the new tree cannot run a program', {
    code: 'BOOTSTRAP_VERIFY',
    operation: 'true',
    ...why,
  })
}

async function runTrue(root: string, context: CreateContext, users: TreeUsers): Promise<number> {
  try {
    const { status } = await runContainer({
      settings: {
        ...defaultSettings(),
        ...usersOfContainer(root, users),
        root: { kind: 'directory', path: root },
        access: 'read-only',
        command: ['true'],
        machine: ephemeralMachineName('create'),
        register: 'no',
        keepUnit: true,
        privateNetwork: true,
        resolvConf: 'off',
        timezone: 'off',
        quiet: true,
      },
      stdio: 'capture',
      signal: context.signal,
    })
    return status
  } catch (error) {
    const { operation } = error as { operation?: string }
    if (users !== 'private' || operation !== 'mount_setattr') throw error
    return runTrue(root, context, 'host')
  }
}
