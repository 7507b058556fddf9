/** A tree made with all that can be asked for beyond packages, booted and used as a person would. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConsoleSession } from '../../fixtures/console-session.ts'
import { testDirectory } from '../../fixtures/debian-tree.ts'
import { tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const stateDirectory = join(testDirectory, 'state')

const slow = 300_000

const key = `ssh-ed25519 ${'A'.repeat(68)} somebody`

const hook = `#!/bin/sh
set -e
printf '%s ' "$TSNSPAWN_NAME" "$TSNSPAWN_RECIPE" "$TSNSPAWN_RELEASE" "$TSNSPAWN_PURPOSE" "$(id -u)" >/etc/hook
ls /sys/class/net >>/etc/hook
cat /srv/data/note >>/etc/hook
touch /tmp/left /var/log/apt/left
`

const missing = lacks('root', 'user namespaces', 'program:script', 'program:openssl')

describe.skipIf(missing)('create with wishes beyond packages', () => {
  test(
    'makes a machine that knows its users, names and language from its first boot on',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const machine = `customize-${process.pid}`
      const at = (name: string) => join(dir.path, name)
      await mkdir(at('files/data'), { recursive: true })
      await writeFile(at('files/data/note'), 'from the host\n', { mode: 0o640 })
      await symlink('note', at('files/data/link'))
      await writeFile(at('password'), 'open sesame\n')
      await writeFile(at('key.pub'), `${key}\n`)
      await writeFile(at('hook'), hook)
      await chmod(at('hook'), 0o755)
      const { stdout: hash } = await execa('openssl', ['passwd', '-6', 'swordfish'])
      const [program, ...words] = tsnspawnBuild(
        ...['--machines-dir', dir.path, '--state-dir', stateDirectory],
        ...['create', 'debian', machine, '--release=bookworm', '--variant=boot', '--via=embedded'],
        ...['--hostname=door', '--locale=de_DE.UTF-8', '--timezone=Europe/Berlin', '--keymap=de'],
        ...['--root-password-file=password', `--user=ann:${hash}:adm,staff`, '--user=bob'],
        ...['--ssh-key=key.pub', '--ssh-key=ann:key.pub'],
        ...['--copy-in=files:/srv', '--hook=./hook', '--hook=minimize'],
      )
      await execa(program, words, { cwd: dir.path })
      const box = at(machine)
      const modeOf = (path: string) => {
        const { mode, uid } = statSync(join(box, path))
        return `${uid} ${(mode & 0o7777).toString(8)}`
      }
      expect(
        ['root/.ssh', 'root/.ssh/authorized_keys', 'home/ann/.ssh/authorized_keys'].map(modeOf),
      ).toEqual(['0 700', '0 600', '1000 600'])
      expect(modeOf('srv/data/note')).toBe('0 640')
      expect(readdirSync(join(box, 'tmp'))).toEqual([])
      expect(existsSync(join(box, 'var/log/apt/left'))).toBe(false)
      expect(existsSync(join(box, 'usr/sbin/policy-rc.d'))).toBe(false)
      expect(existsSync(join(box, 'usr/share/man'))).toBe(false)
      expect(existsSync(join(box, 'usr/share/doc/libc6/copyright'))).toBe(true)

      await using session = new ConsoleSession(
        tsnspawn('-D', box, '-M', machine, '-b', '-x', '--register=no', '--private-network'),
      )
      await session.sees(/\ndoor login: $/, 120_000)
      session.type('root\r')
      await session.sees(/(Password|Passwort): $/)
      session.type('open sesame\r')
      await session.sees(/# $/)
      session.type('export SYSTEMD_PAGER=cat\r')
      await session.sees(/# $/)
      expect(await session.run('systemctl is-system-running --wait')).toEqual(['running'])
      expect(await session.run('cat /etc/hook')).toEqual([
        `${machine} debian bookworm boot 0 lo`,
        'from the host',
      ])
      expect(await session.run('hostname; date +%Z; echo $LANG; locale charmap')).toEqual([
        'door',
        expect.stringMatching(/^CES?T$/),
        'de_DE.UTF-8',
        'UTF-8',
      ])
      expect(
        await session.run('systemctl is-enabled systemd-networkd systemd-resolved; id -Gn ann'),
      ).toEqual(['enabled', 'enabled', 'ann adm staff'])
      expect(await session.run('readlink /etc/resolv.conf')).toEqual([
        '../run/systemd/resolve/stub-resolv.conf',
      ])
      session.type('exit\r')
      await session.sees(/ login: $/)
      session.type('ann\r')
      await session.sees(/(Password|Passwort): $/)
      session.type('swordfish\r')
      await session.sees(/\$ $/)
      session.type('pwd\r')
      await session.sees(/\n\/home\/ann\n/)
    },
  )

  test('logs the user in by itself where that was asked for', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const [program, ...words] = tsnspawnBuild(
      ...['--machines-dir', dir.path, '--state-dir', stateDirectory],
      ...['create', 'debian', 'box', '--release=bookworm', '--variant=boot', '--via=embedded'],
      ...['--user=ann', '--autologin=ann'],
    )
    await execa(program, words)
    const machine = `autologin-${process.pid}`
    await using session = new ConsoleSession(
      tsnspawn('-D', join(dir.path, 'box'), '-M', machine, '-b', '-x', '--register=no'),
    )
    await session.sees(/ann@box:~\$ $/, 120_000)
  })

  test('the example recipe makes what it says', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const recipe = new URL('../../../examples/recipes/web-server.json', import.meta.url).pathname
    const [program, ...words] = tsnspawnBuild(
      ...['--machines-dir', dir.path, '--state-dir', stateDirectory],
      ...['create', recipe, 'web', '--release=bookworm', '--variant=boot', '--hook=ssh-server'],
      '--include=openssh-server',
    )
    await execa(program, words)
    const read = (path: string) => readFileSync(join(dir.path, 'web', path), 'utf8')
    expect(read('var/www/html/about.txt')).toBe('web, made from web-server bookworm\n')
    expect(read('var/www/html/index.html')).toContain('It works')
    expect(read('etc/hostname')).toBe('web\n')
    const ssh = join(dir.path, 'web/etc/ssh')
    expect(readdirSync(ssh).filter((name) => name.startsWith('ssh_host_'))).toEqual([])
    const unit = 'etc/systemd/system/ssh.service.d/host-keys.conf'
    expect(read(unit)).toContain('ssh-keygen -A')
  })
})
