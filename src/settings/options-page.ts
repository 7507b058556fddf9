/** docs/options.md, made from the table, so that the reference cannot say other than the program does. */
import { sections, type Option } from './option.ts'
import { options } from './table.ts'

const head = `# Options of tsnspawn

This page is generated from the table that the command line is read with (\`src/settings/\`).

\`tsnspawn [OPTIONS...] [COMMAND [ARGUMENTS...]]\`

Options end at the first word that is not one, or at \`--\`. Long names may be shortened while they stay
unambiguous. A value follows behind \`=\` or as the next word; where it is optional, only behind \`=\`.
The last of several counts, unless an option is repeatable. Booleans are \`1 yes y true t on\` and
\`0 no n false f off\` in any letter case.

Something wrong on the command line ends tsnspawn with status 1 and one message, before anything is
changed.
`

/** What environment.ts reads: name, meaning, value in force without it. */
export const variables: readonly (readonly [name: string, meaning: string, fallback: string])[] = [
  [
    'SYSTEMD_NSPAWN_API_VFS_WRITABLE',
    'A boolean: `/proc/sys`, `/sys` and the masked files are writable. `network`: only `/proc/sys/net` is. Not with a user namespace.',
    '`no`',
  ],
  ['SYSTEMD_NSPAWN_SHARE_NS_IPC', 'A boolean: use the IPC namespace of the host.', '`no`'],
  [
    'SYSTEMD_NSPAWN_SHARE_NS_PID',
    'A boolean: use the PID namespace of the host. Implies `--register=no`.',
    '`no`',
  ],
  [
    'SYSTEMD_NSPAWN_SHARE_NS_UTS',
    'A boolean: use the UTS namespace (host name) of the host. Implies `--register=no`.',
    '`no`',
  ],
  ['SYSTEMD_NSPAWN_SHARE_SYSTEM', 'A boolean: all three.', '`no`'],
  ['SYSTEMD_NSPAWN_TMPFS_TMP', 'A boolean: mount a tmpfs on `/tmp`.', '`yes`'],
  ['SYSTEMD_NSPAWN_USE_CGNS', 'A boolean: make a cgroup namespace.', '`yes`'],
  [
    'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY',
    'A boolean: show the unified cgroup hierarchy or the legacy one.',
    'by host and tree',
  ],
  ['UNIFIED_CGROUP_HIERARCHY', 'The older name of the same.', 'by host and tree'],
  [
    'SYSTEMD_NSPAWN_CONTAINER_SERVICE',
    'Value of `$container` in the container.',
    '`systemd-nspawn`',
  ],
  ['SYSTEMD_NSPAWN_LOCK', 'A boolean: lock images while they are used.', '`yes`'],
  [
    'SYSTEMD_NSPAWN_CHECK_OS_RELEASE',
    'A boolean: check that the root directory is a tree of an operating system.',
    '`yes`',
  ],
  ['SYSTEMD_SUPPRESS_SYNC', 'A boolean: default of `--suppress-sync=`.', '`no`'],
  ['SYSTEMD_SECCOMP', 'A boolean: install system call filters.', '`yes`'],
  ['SYSTEMD_LOG_SECCOMP', 'A boolean: let the kernel log calls that a filter refuses.', '`no`'],
  ['SYSTEMD_LOG_LEVEL', '`debug` or `7`: same as `--debug`.', ''],
]

/** The whole page, with a final newline. */
export function optionsPage(): string {
  const parts = [head]
  for (const section of sections) {
    const rows = options.filter((option) => option.section === section)
    const supported = rows.filter((option) => option.read !== undefined)
    if (supported.length === 0) continue
    parts.push(`## ${section}\n`, ...supported.map(entry))
  }
  const rows = variables.map((cells) => `| \`$${cells[0]}\` | ${cells[1]} | ${cells[2]} |\n`)
  parts.push(
    '## Environment\n',
    `| Variable | Meaning | Default |\n| --- | --- | --- |\n${rows.join('')}`,
  )
  const refused = options.filter((option) => option.read === undefined)
  parts.push(
    '## Not supported\n',
    'systemd-nspawn has these too. They are refused with a message, never passed over.\n',
    `| Option | What it does there | Meanwhile |\n| --- | --- | --- |\n${refused.map(refusedRow).join('')}`,
  )
  return parts.join('\n')
}

/** Every way to write the option, as code, the most usual first. */
function names(option: Option): string {
  const value =
    option.value === 'required'
      ? `=${option.placeholder ?? ''}`
      : option.value === 'optional'
        ? `[=${option.placeholder ?? ''}]`
        : ''
  const long = option.name === undefined ? [] : [option.name, ...(option.aliases ?? [])]
  const spellings = long.map((name) => `--${name}${value}`)
  if (option.short !== undefined) {
    spellings.push(
      `-${option.short}${option.value === 'required' ? ` ${option.placeholder ?? ''}` : ''}`,
    )
  }
  return spellings.map((spelling) => `\`${spelling}\``).join(', ')
}

function entry(option: Option): string {
  const lines = [`### ${names(option)}`, '', sentence(option.help)]
  if (option.details !== undefined) lines.push('', option.details)
  const facts: string[] = []
  if (option.fallback !== undefined) facts.push(`Default: ${option.fallback}.`)
  if (option.list !== undefined) facts.push('The value `help` lists the names.')
  const keys = (option.keys ?? []).map(([section, key]) => `\`[${section}] ${key}=\``)
  if (keys.length > 0) facts.push(`In systemd.nspawn(5): ${keys.join(', ')}.`)
  if (option.differs !== undefined) facts.push(`Unlike systemd-nspawn: ${option.differs}`)
  if (facts.length > 0) lines.push('', ...facts.map((fact) => `- ${fact}`))
  return `${lines.join('\n')}\n`
}

function refusedRow(option: Option): string {
  const instead = option.read === undefined ? (option.instead ?? '') : ''
  const cells = [names(option), option.help, instead].map((cell) => cell.replaceAll('|', '\\|'))
  return `| ${cells.join(' | ')} |\n`
}

/** Help lines are fragments; on a page they end in a full stop, and option names become code. */
function sentence(help: string): string {
  const marked = help.replace(/--[a-z-]+(?:=[A-Za-z]*)?/g, (name) => `\`${name}\``)
  return `${marked}.`
}
