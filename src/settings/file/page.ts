/** docs/settings-files.md, made from the keys, so that the page names those that are read and no others. */
import { optionName } from '../option.ts'
import { fileKeys, fileSections, type FileKey } from './keys.ts'
import { SETTINGS_FILE_MAX } from './syntax.ts'

const head = `# Settings files

This page is generated from the table that \`.nspawn\` files are read with (\`src/settings/file/\`).

A machine can keep its settings in a file \`NAME.nspawn\`, in the format of systemd.nspawn(5):

\`\`\`ini
[Exec]
ProcessTwo=yes
Parameters=/usr/bin/httpd "-D FOREGROUND"
User=www
Environment=LANG=C.UTF-8 "GREETING=good day"

[Files]
BindReadOnly=/srv/www
\`\`\`

## Which file

\`NAME\` is the machine's name, without the suffix of a throw-away copy. The first file found is read, and no other:

1. \`/etc/systemd/nspawn/NAME.nspawn\`
2. \`/run/systemd/nspawn/NAME.nspawn\`
3. \`NAME.nspawn\` in the directory that the tree lies in

The first two are **trusted**, only the administrator of the host can put them there. The third one came along with
the image: what it says under the keys marked below is passed over with a warning. What it may say is what gives no
privileges on the host: what runs, as which user, with which variables, and with fewer rights than usual.

A file that is there and cannot be read ends the start, and so does one of more than ${SETTINGS_FILE_MAX >> 10} KiB.
\`tsnspawn-build run\` reads the files too; builds never do.

## The file and the command line

| \`--settings=\` | File | Who counts more | Trust |
| --- | --- | --- | --- |
| \`yes\` (default) | read | the command line | by place |
| \`override\` | read | the file | by place |
| \`trusted\` | read | the command line | all |
| \`no\` | not read | | |

Who counts more silences the other about a whole group of settings: \`--bind=\` on the command line replaces all mounts
of the file, \`--tmpfs=\` does too, \`-E\` all its variables, a command its start mode and parameters. The groups stand in
the tables below; each resource limit is one for itself. Capabilities are the exception: with \`override\` those of both
add up, the file's after the others.

## Syntax

- Lines are \`KEY=VALUE\` in a section; blanks around both do not count. Keys and sections are case-sensitive.
- A line that begins with \`#\` or \`;\` is a comment, between continued lines too.
- A backslash at the end of a line continues it with the next one, a blank in between.
- Words of \`Environment=\` and \`Parameters=\` can be quoted, with either kind of quotes; a backslash is an ordinary
  character. There are no specifiers: \`%\` stands for itself.
- Booleans are \`1 yes y true t on\` and \`0 no n false f off\`. \`PrivateUsers=0\` and \`=1\` are booleans here.
- A key that may be repeated adds to what is there. An empty value forgets what was said before where the tables say so.
- Sections and keys that begin with \`X-\` are for other programs.

An unknown section or key, a line that is none and an invalid value are passed over, each with a warning that names
file, line, key and value. The start ends, as in systemd-nspawn, at a section header without its end, text that is not
UTF-8, an invalid \`CPUAffinity=\`, and \`AmbientCapability=all\`; and at a setting that counts but that this version does
not have.

## Keys
`

const foot = `
\`Boot=\`, \`ProcessTwo=\` and \`Parameters=\` decide together what runs, as one group; of two modes the first one holds.
\`Parameters=\` are the command and its arguments, or those of init; they have no effect without one of the other two.

## Unlike systemd-nspawn

- A variable without value (\`Environment=NAME\`) is passed over; systemd-nspawn hands it on as it is.
- \`PrivateUsers=pick\` alone means \`PrivateUsersOwnership=auto\`, as in newer versions; systemd-nspawn 252 changes the
  owners in the tree.
- An option of \`Bind=\` that does not exist, and a word of \`SystemCallFilter=\` that cannot be a name, are reported.
- One warning names all keys of a file that is not trusted.
- A warning about a continued line has the number of its first line.
`

/** The whole page, with a final newline. */
export function settingsFilesPage(): string {
  const tables = fileSections.map((section) => {
    const rows = fileKeys.filter((entry) => entry.section === section)
    const start =
      section === 'Exec'
        ? '| `Boot=` | `--boot` | start-mode | | |\n| `ProcessTwo=` | `--as-pid2` | start-mode | | |\n' +
          '| `Parameters=` | the command | start-mode | | forgets |\n'
        : ''
    const heading =
      '| Key | Option | Group | Only if trusted | Empty |\n| --- | --- | --- | --- | --- |\n'
    return `### [${section}]\n\n${heading}${start}${rows.map(row).join('')}`
  })
  return `${head}\n${tables.join('\n')}${foot}`
}

function row({ key, option, group, privileged, empty }: FileKey): string {
  const unsupported = option.read === undefined ? ', not supported' : ''
  const cells = [
    `\`${key}=\``,
    `\`${optionName(option)}\`${unsupported}`,
    group,
    privileged ? 'yes' : '',
    empty === 'resets' ? 'forgets' : empty === 'nothing' ? 'says nothing' : '',
  ]
  return `| ${cells.join(' | ')} |\n`
}
