/** Everything that a copy of a tree must keep, as lines that can be compared. */
import { execFileSync } from 'node:child_process'

const run = (directory: string, program: string, ...args: string[]): string =>
  execFileSync(program, args, { cwd: directory, encoding: 'latin1', maxBuffer: 1 << 28 })

/** Types, modes, owners, sizes, times to the nanosecond, link targets and counts; then attributes; then contents. */
export function treeListing(directory: string): string {
  return [
    run(directory, 'find', '.', '-printf', '%P|%y|%m|%U:%G|%T@|%l\n')
      .split('\n')
      .toSorted()
      .join('\n'),
    run(directory, 'find', '.', '!', '-type', 'd', '-printf', '%P|%s|%n\n')
      .split('\n')
      .toSorted()
      .join('\n'),
    run(
      directory,
      'sh',
      '-c',
      'find . \\( -type b -o -type c \\) -exec stat -c "%n %t:%T" {} + | sort',
    ),
    run(directory, 'sh', '-c', 'find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex --'),
    run(directory, 'sh', '-c', 'find . -type f -print0 | sort -z | xargs -0 -r sha256sum'),
  ].join('\n--\n')
}

/** Fills `directory` with one of each kind of thing that copies tend to lose. */
export function makeOddTree(directory: string): void {
  run(
    '/',
    'sh',
    '-ec',
    `
    mkdir -p "$1/usr/bin" "$1/deep/er" "$1/$(printf 'latin-\\351')"
    cd "$1"
    echo contents > usr/bin/program; chmod 4755 usr/bin/program
    echo ping > usr/bin/ping; chown 1:2 usr/bin/ping; setcap cap_net_raw+ep usr/bin/ping
    ln usr/bin/program deep/er/hard-link
    ln -s /usr/bin/program deep/symlink; ln -s nowhere dangling; chown -h 7:8 deep/symlink
    echo x > acl; setfacl -m u:1234:rw,g:99:r acl
    mkdir acl.d; setfacl -m d:u:1234:rwx,u:5:r acl.d; echo y > acl.d/inherits
    setfattr -n user.note -v hello acl; setfattr -n trusted.note -v root usr
    truncate -s 3M sparse; printf tail >> sparse; printf mid | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none
    truncate -s 1M hole
    mkfifo fifo; mknod null c 1 3; mknod disk b 260 70000; chmod 640 disk
    mkdir setgid closed; chgrp 50 setgid; chmod 2770 setgid; echo z > setgid/file; chmod 000 closed
    : > "$(printf 'new\\nline')"; : > "$(printf 'latin-\\351')/file"
    touch -h -d '2001-02-03 04:05:06.123456789' deep/symlink usr/bin/program deep
    `,
    'sh',
    directory,
  )
}
