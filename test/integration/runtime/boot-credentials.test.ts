/** Credentials as systemd in a container takes them: a system that has no /etc yet is set up by them. */
import { execa } from 'execa'
import { readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { debianBootTree } from '../../fixtures/debian-tree.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

describe.skipIf(lacks('root', 'overlay', 'program:mmdebstrap'))('a volatile first boot', () => {
  test.each([[[]], [['-U']]])(
    'with %j takes password, time zone and locale from credentials',
    async (users) => {
      const tree = await debianBootTree()
      await using directory = await temporaryDirectory()
      const hash = '$6$salt$of-no-password'
      const [file, ...argv] = tsnspawn(
        ...['--register=no', '-q', '-b', '-D', tree, '--volatile=yes', ...users],
        ...['--console=read-only', '--timezone=off', `--bind=${directory.path}:/out:norbind`],
        `--set-credential=passwd.hashed-password.root:${hash}`,
        '--set-credential=firstboot.timezone:Europe/Berlin',
        '--set-credential=firstboot.locale:C.UTF-8',
        'systemd.run="tar -cf /out/etc.tar -C /etc shadow localtime default/locale"',
        ...['systemd.run_success_action=exit', 'systemd.run_failure_action=exit'],
      )
      await execa('chmod', ['0777', directory.path])
      const { exitCode, stdout } = await execa(file, argv, { reject: false, timeout: 60_000 })
      expect(exitCode, stdout.slice(-2000)).toBe(0)
      await execa('tar', ['-xf', join(directory.path, 'etc.tar'), '-C', directory.path])
      const read = (name: string) => readFileSync(join(directory.path, name), 'utf8')
      expect(read('shadow')).toContain(`root:${hash}:`)
      expect(read('default/locale')).toContain('LANG=C.UTF-8')
      expect(readlinkSync(join(directory.path, 'localtime'))).toMatch(/zoneinfo\/Europe\/Berlin$/)
    },
  )
})
