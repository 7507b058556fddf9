/** Options of `create` that say what a tree is to be like beyond its packages. */
import { Option, type Command } from 'commander'
import type { CustomizationWords } from '../recipe.ts'

export interface CustomizeOptions {
  readonly hostname?: string
  readonly locale?: string
  readonly timezone?: string
  readonly keymap?: string
  readonly rootPassword?: string
  readonly rootPasswordFile?: string
  readonly user?: string[]
  readonly sshKey?: string[]
  readonly autologin?: string | true
  readonly network?: 'host0' | 'none'
  readonly copyIn?: string[]
  readonly hook?: string[]
  readonly hookNetwork?: boolean
}

/** The options themselves. */
export function addCustomizeOptions(command: Command): Command {
  const repeated = (text: string, before: string[] | undefined) => [...(before ?? []), text]
  return command
    .option('--hostname <name>', "the machine's name; default for a boot tree the image's")
    .option('--locale <name>', 'language, as in de_DE.UTF-8; made in the tree where it has to be')
    .option('--timezone <zone>', 'as in Europe/Berlin')
    .option('--keymap <name>', 'of the virtual console, for trees that boot on a machine')
    .option(
      '--root-password <value>',
      'locked (default), empty, credential, @FILE, or a hash as mkpasswd makes it',
    )
    .addOption(
      new Option('--root-password-file <file>', 'the same as --root-password=@FILE').conflicts(
        'rootPassword',
      ),
    )
    .option(
      '--user <name[:password[:groups]]>',
      'a user with a home; the password as above, groups divided by commas; may be repeated',
      repeated,
    )
    .option('--ssh-key <[user:]file>', 'public keys that may log in; default as root', repeated)
    .option('--autologin [user]', 'nobody is asked on the console; default root')
    .addOption(
      new Option(
        '--network <what>',
        'host0: set up the link to the host; the default of boot trees',
      ).choices(['host0', 'none']),
    )
    .option(
      '--copy-in <source:destination>',
      'a file of this host, or what is in a directory; may be repeated',
      repeated,
    )
    .option(
      '--hook <program>',
      'run it in a container of the tree, at last: a path (./mine.sh), or one that comes along (minimize, ssh-server); may be repeated',
      repeated,
    )
    .option('--hook-network', "let hooks use the host's network")
}

/** What they ask for; paths are relative to the working directory. */
export function customizationWords(options: CustomizeOptions): CustomizationWords {
  const { rootPasswordFile, autologin, hookNetwork } = options
  return {
    hostname: options.hostname,
    locale: options.locale,
    timezone: options.timezone,
    keymap: options.keymap,
    rootPassword: rootPasswordFile === undefined ? options.rootPassword : `@${rootPasswordFile}`,
    users: options.user,
    sshKeys: options.sshKey,
    autologin: autologin === true ? 'root' : autologin,
    network: options.network,
    copyIn: options.copyIn,
    hooks: options.hook,
    hookNetwork: hookNetwork === true ? 'host' : undefined,
  }
}
