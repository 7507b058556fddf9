/**
 * Makes a finished tree what was asked for. Files of the user's come first, so that what is declared counts more; hooks
 * come last, so that they find all of it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { copyIn } from './customize/copy-in.ts'
import { customizationFailed } from './customize/failure.ts'
import { runHooks } from './customize/hooks.ts'
import { setLocale } from './customize/locale.ts'
import { setUpNetwork } from './customize/network.ts'
import { enabledUnits, keepEnabled } from './customize/presets.ts'
import { readPassword, setPassword, type KnownPassword } from './customize/password.ts'
import { checkTreeNames } from './customize/tree-names.ts'
import { addSshKeys, addUser, readPublicKeys } from './customize/users.ts'
import { checkInputs, type Customization } from './customize/customization.ts'
import type { FinishingContext } from './finishing.ts'
import type { TreeFiles } from './tree-files.ts'

/** Users that get a password, and which. */
export type Secrets = ReadonlyMap<string, KnownPassword>

/**
 * Reads what a tree will need of this host, so that it is not made in vain.
 *
 * @throws NspawnError `USAGE`
 */
export function readInputs(customization: Customization, templates: string): Secrets {
  checkInputs(customization, templates)
  for (const { file } of customization.sshKeys) readPublicKeys(file)
  const { rootPassword, users } = customization
  const accounts = [{ name: 'root', password: rootPassword }, ...users]
  return new Map(
    // They are locked as they are made.
    accounts
      .filter(({ password }) => password.kind !== 'locked')
      .map(({ name, password }) => [name, readPassword(name, password)]),
  )
}

/**
 * @returns whether programs of the tree ran that may have left something behind
 * @throws NspawnError `BOOTSTRAP_FAILED`
 */
export async function customizeTree(context: FinishingContext, secrets: Secrets): Promise<boolean> {
  const { files, tree, plan, templates } = context
  const { customization } = plan
  const enabled = enabledUnits(files)
  for (const copy of customization.copies) copyIn(files, copy)
  checkTreeNames(files, customization)
  if (customization.hostname !== undefined)
    files.write('/etc/hostname', `${customization.hostname}\n`)
  if (customization.locale !== undefined) await setLocale(tree, files, customization.locale)
  if (customization.timezone !== undefined) setTimezone(files, customization.timezone)
  if (customization.keymap !== undefined) setKeymap(files, customization.keymap)
  for (const user of customization.users) await addUser(tree, files, user)
  for (const [user, password] of secrets) await setPassword(tree, files, user, password)
  if (customization.rootPassword.kind !== 'locked') openTerminals(files)
  for (const key of customization.sshKeys) addSshKeys(files, key)
  if (customization.autologin !== undefined)
    setAutologin(files, customization.autologin, join(templates, 'autologin'))
  if (customization.network !== 'none') await setUpNetwork(tree, files, customization.network)
  await runHooks(tree, files, plan, templates)
  // Others have no first boot: their machine-id is empty.
  if (plan.purpose === 'boot') keepEnabled(files, enabled)
  return customization.hooks.length > 0
}

/** @see localtime(5) */
function setTimezone(files: TreeFiles, timezone: string): void {
  const zone = `/usr/share/zoneinfo/${timezone}`
  if (files.stat(zone)?.isFile() !== true && timezone !== 'UTC') {
    throw customizationFailed(
      `the tree has no time zone called ${timezone}`,
      'if the name is right, the package tzdata is missing: name it with --include',
    )
  }
  files.link(`..${zone}`, '/etc/localtime')
  // Debian's second place, which its tzdata package reads where it is there.
  if (files.stat('/etc/timezone') !== undefined) files.write('/etc/timezone', `${timezone}\n`)
}

/** @see vconsole.conf(5) */
function setKeymap(files: TreeFiles, keymap: string): void {
  const lines = (files.read('/etc/vconsole.conf') ?? '').split('\n')
  const others = lines.filter((line) => line !== '' && !line.startsWith('KEYMAP='))
  files.write('/etc/vconsole.conf', [...others, `KEYMAP=${keymap}`, ''].join('\n'))
}

/** Where root may log in is a list in some distributions; the console of a container is a pts. */
function openTerminals(files: TreeFiles): void {
  const text = files.read('/etc/securetty')
  if (text === undefined) return
  const there = new Set(text.split('\n'))
  const terminals = ['console', ...Array.from({ length: 10 }, (_, n) => `pts/${n}`)]
  const missing = terminals.filter((name) => !there.has(name))
  const before = text === '' || text.endsWith('\n') ? text : `${text}\n`
  files.write('/etc/securetty', before + missing.map((name) => `${name}\n`).join(''), 0o644)
}

function setAutologin(files: TreeFiles, user: string, templates: string): void {
  for (const unit of readdirSync(templates)) {
    const text = readFileSync(join(templates, unit), 'utf8').replaceAll('@USER@', user)
    files.write(`/etc/systemd/system/${unit}.d/autologin.conf`, text)
  }
}
