/** What the original (252) cannot show about users of the host: shells, groups, and no user namespace at all. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addHostUsers } from '../../fixtures/host-users.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { Room } from '../../fixtures/room.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { makeSmallTree } from '../images/runnable-tree.ts'

const records = '/run/host/userdb'
const homes = '/run/host/home'

describe.skipIf(lacks('root', 'user namespaces', 'program:mmdebstrap'))('--bind-user=', () => {
  let directory: TemporaryDirectory
  let room: Room
  let tree = ''
  beforeAll(async () => {
    directory = await temporaryDirectory()
    tree = join(directory.path, 'tree')
    await makeSmallTree(tree)
    room = await Room.open(directory.path)
    await addHostUsers(room, directory.path)
  })
  afterAll(async () => {
    await room[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  const inside = (options: readonly string[], script: string) =>
    room.run(
      tsnspawn(
        ...['--register=no', '--keep-unit', '-q', '-P', '-D', tree, '--bind-user=parity-guest'],
        ...[...options, 'sh', '-ec', script],
      ),
    )

  it.each([
    [[], undefined],
    [['--bind-user-shell=no'], undefined],
    [['--bind-user-shell=yes'], '/bin/bash'],
    [['--bind-user-shell=/bin/zsh'], '/bin/zsh'],
  ])('gives the shell of %j', async (options, shell) => {
    const { stdout, stderr } = await inside(options, `cat ${records}/parity-guest.user`)
    expect(stderr).toBe('')
    expect((JSON.parse(stdout) as { shell?: string }).shell).toBe(shell)
  })

  it('makes the user a member of groups, where the name service looks for it', async () => {
    const groups = ['--bind-user-group=adm', '--bind-user-group=sudo']
    const script = `cat ${records}/60514.user; ls ${records} | grep membership`
    const { stdout } = await inside(groups, script)
    const [record = '', ...files] = stdout.split('\n')
    expect(JSON.parse(record)).toMatchObject({ memberOf: ['adm', 'sudo'] })
    expect(files).toEqual(['parity-guest:adm.membership', 'parity-guest:sudo.membership'])
  })

  it.each([[['-U']], [[]], [['--private-users=identity']]])(
    'with %j what the user makes in the home belongs to the user on the host too',
    async (options) => {
      const made = `made${options.join('')}`
      const asGuest = 'setpriv --reuid 60514 --regid 60514 --clear-groups'
      const { stdout, stderr } = await inside(
        options,
        `${asGuest} touch ${homes}/parity-guest/${made}; stat -c %u:%g ${homes}/parity-guest/${made}`,
      )
      expect({ stdout, stderr }).toEqual({ stdout: '60514:60514', stderr: '' })
      const { uid, gid } = statSync(join(directory.path, 'home/parity-guest', made))
      expect({ uid, gid }).toEqual({ uid: 54321, gid: 54322 })
    },
  )

  it('keeps the password from everybody but root', async () => {
    const { stdout } = await inside(
      ['-U'],
      `stat -c %a:%u ${records}/parity-guest.user-privileged; cat ${records}/parity-guest.user-privileged`,
    )
    expect(stdout).toBe('600:0\n{"privileged":{"hashedPassword":["$6$salt$hash"]}}')
  })
})
