/** Links of containers, with what goes over them, in network namespaces that the tests make. */
import { execa } from 'execa'
import { once } from 'node:events'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeBusyboxTree } from '../../fixtures/disk-image.ts'
import { NetworkNamespace } from '../../fixtures/network-namespace.ts'
import { systemdNspawn, tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks('root', 'program:ip', 'program:nft', 'program:busybox', 'program:nsenter')

describe.skipIf(missing)('the network of a container', () => {
  let work: TemporaryDirectory
  let tree: string

  beforeAll(async () => {
    work = await temporaryDirectory()
    tree = await makeBusyboxTree(join(work.path, 'tree'))
    for (const name of ['ip', 'httpd', 'wget', 'ping', 'nc', 'true', 'mkdir'])
      await symlink('busybox', join(tree, 'usr/bin', name))
    await mkdir(join(tree, 'run'))
  })
  afterAll(async () => {
    await work[Symbol.asyncDispose]()
  })

  const ours = (options: readonly string[], script: string) => [
    ...tsnspawn('--console=pipe', '--quiet', '--register=no', '-D', tree, '--ephemeral'),
    ...options,
    ...['sh', '-c', script],
  ]

  /** Starts a container that says a line when it is ready; its output so far is handed out. */
  async function start(net: NetworkNamespace, options: readonly string[], script: string) {
    const [program, ...args] = net.within(ours(options, `${script}; echo ready; sleep 60`))
    const running = execa(program, args, { reject: false, stdin: 'ignore', buffer: false })
    let text = ''
    running.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    let errors = ''
    running.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    while (!text.includes('ready')) {
      const ended = await Promise.race([once(running.stdout, 'data'), running.then(() => 'ended')])
      if (ended === 'ended') throw new Error(`it ended: ${errors}`)
    }
    return {
      text: text.replace('ready\n', ''),
      // `ip netns exec` has become the program.
      pid: running.pid as number,
      async end(signal: NodeJS.Signals = 'SIGTERM') {
        running.kill(signal)
        await running
      },
    }
  }

  const udpEcho = (
    family: 'udp4' | 'udp6',
  ) => `const s = require('node:dgram').createSocket('${family}')
    s.on('message', (m, from) => s.send('inside heard: ' + m, from.port, from.address)); s.bind(53)`
  /** Asks again until somebody listens. */
  const udpAsk = (
    family: 'udp4' | 'udp6',
    host: string,
  ) => `const s = require('node:dgram').createSocket('${family}')
    s.on('message', (m) => { console.log(String(m)); process.exit() })
    const ask = () => s.send('over there', 5300, '${host}')
    ask(); setInterval(ask, 200); setTimeout(() => process.exit(1), 10000)`

  const address = (text: string) => /inet ([\d.]+)\//.exec(text)?.[1] ?? 'none'

  /** Whether there is a carrier is found out by and by. */
  const upFlags = (flags: unknown) =>
    (flags as readonly string[]).filter((flag) => !/CARRIER|LOWER_UP/.test(flag))

  describe('beside systemd-nspawn', () => {
    const inside = 'ip link | grep -v "^ .*lo"'
    test.skipIf(missing || lacks('program:systemd-nspawn')).each([
      ['a cable', ['-n']],
      ['a cable of a machine with a long name', ['-n', '-M', 'averylongcontainername']],
      ['a cable with users of its own', ['-n', '-U']],
      ['a zone', ['--network-zone=z']],
      ['a bridge', ['--network-bridge=br0']],
      ['cables with names', ['--network-veth-extra=ab:cd', '--network-veth-extra=xy']],
    ])('%s has the same names and addresses, inside and outside', async (_, options) => {
      const seen: string[] = []
      for (const program of [tsnspawn, systemdNspawn]) {
        await using net = await NetworkNamespace.make()
        await net.ip('link', 'add', 'name', 'br0', 'type', 'bridge')
        await net.ip('link', 'set', 'dev', 'br0', 'address', '02:00:00:00:00:99')
        const own = program === systemdNspawn ? ['--keep-unit', '--pipe'] : ['--console=pipe']
        const argv = program(
          ...own,
          '--quiet',
          '--register=no',
          '-D',
          tree,
          '-M',
          'foobar',
          ...options,
        )
        const [first, ...rest] = net.within([...argv, 'sh', '-c', `${inside}; sleep 3`])
        const running = execa(first, rest, { reject: false, stdin: 'ignore' })
        // All links are there before the payload is.
        await Promise.race([once(running.stdout, 'data'), running])
        const outside = JSON.parse(await net.ip('-json', 'link', 'show')) as Record<
          string,
          unknown
        >[]
        const { stdout, stderr, exitCode } = await running
        expect(
          `${stderr.replace(/^(Using default interface naming|Network interface name|Attempted to remove disk).*\n?/gm, '')}${exitCode}`,
        ).toBe('0')
        const plain = stdout.replaceAll(/^\d+: /gm, '').replaceAll(/@\w+/g, '')
        seen.push(
          JSON.stringify(
            [
              plain.split('\n').toSorted(),
              outside.map(({ ifname, address: mac, altnames, master, flags }) => {
                return {
                  ifname,
                  mac: ifname === 'lo' ? '' : mac,
                  altnames,
                  master,
                  flags: upFlags(flags),
                }
              }),
            ],
            null,
            1,
          ),
        )
        // The original looks into /sys, which is another namespace's here, and leaves the bridge of the zone.
        if (program === tsnspawn) expect(await net.links()).toEqual(['br0', 'lo'])
      }
      expect(seen[0]).toBe(seen[1])
    })
  })

  test('moves interfaces in and back, with new names and old ones', async () => {
    await using net = await NetworkNamespace.make()
    await net.ip('link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two')
    await net.ip(
      'link',
      'property',
      'add',
      'dev',
      'two',
      'altname',
      'a-name-that-is-long-and-another',
    )
    const alone = 'ip link | grep -c .; ip link'
    const { stdout } = await net.run(
      ours(['--network-interface=one:inner a-name-that-is-long-and-another:two'], alone),
    )
    expect(stdout).toMatch(/ inner@/)
    expect(stdout).toMatch(/ two@/)
    expect(await net.links()).toEqual(['lo', 'one', 'two'])
    const killed = await start(net, ['--network-interface=one:inner'], 'true')
    expect(await net.links()).toEqual(['lo', 'two'])
    await killed.end()
    expect(await net.links()).toEqual(['lo', 'one', 'two'])
  })

  test('has macvlans above an interface, which talk to the other end', async () => {
    await using net = await NetworkNamespace.make()
    await net.ip('link', 'add', 'p0', 'type', 'veth', 'peer', 'name', 'p1')
    for (const name of ['p0', 'p1']) await net.ip('link', 'set', name, 'up')
    await net.ip('address', 'add', '10.9.0.1/24', 'dev', 'p1')
    const up = 'ip addr add 10.9.0.2/24 dev mv-p0; ip link set mv-p0 up'
    const { stdout, stderr } = await net.run(
      ours(['--network-macvlan=p0 p0:x'], `${up}; ping -c1 -W5 10.9.0.1; ip link show x`),
    )
    expect(stderr).toBe('')
    expect(stdout).toMatch(/1 packets received[^]*x@/)
    expect(await net.links()).toEqual(['lo', 'p0', 'p1'])
  })

  test('may be one that is there', async () => {
    await using net = await NetworkNamespace.make()
    await net.ip('link', 'add', 'seen', 'type', 'veth', 'peer', 'name', 'other')
    const path = `--network-namespace-path=/run/netns/${net.name}`
    for (const options of [[path], [path, '--private-network'], [path, '-U']]) {
      const [program, ...args] = ours(options, 'ip link')
      const { stdout, stderr } = await execa(program!, args, { reject: false, stdin: 'ignore' })
      expect(stderr).toBe('')
      expect(stdout).toContain('seen@other')
    }
    expect(await net.links()).toEqual(['lo', 'other', 'seen'])
  })

  describe('set up by ourselves', () => {
    test('leads to the host, out through it, and in by forwarded ports', async () => {
      await using net = await NetworkNamespace.make()
      await using far = await NetworkNamespace.make()
      await net.ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1', 'netns', far.name)
      await net.ip('address', 'add', '203.0.113.1/24', 'dev', 'up0')
      await net.ip('link', 'set', 'up0', 'up')
      await far.ip('address', 'add', '203.0.113.2/24', 'dev', 'up1')
      await far.ip('link', 'set', 'up1', 'up')
      await net.ip('-6', 'address', 'add', '2001:db8::1/64', 'dev', 'up0', 'nodad')
      await far.ip('-6', 'address', 'add', '2001:db8::2/64', 'dev', 'up1', 'nodad')
      const serve = 'mkdir /tmp/w; echo from inside >/tmp/w/x; httpd -p 80 -h /tmp/w'
      const options = [
        '-n',
        '-M',
        'web',
        '--network-setup=auto',
        '-p8080:80',
        '-U',
        '-pudp:5300:53',
      ]
      const web = await start(
        net,
        options,
        `${serve}; ip addr show host0; ping -c1 -W5 203.0.113.2`,
      )
      expect(web.text).toContain('1 packets received')
      const own = address(web.text)
      const fetch = async (from: NetworkNamespace, url: string) =>
        (await from.run(['timeout', '5', 'busybox', 'wget', '-q', '-O-', url])).stdout
      expect(await fetch(net, `http://${own}/x`)).toBe('from inside')
      expect(await fetch(net, 'http://203.0.113.1:8080/x')).toBe('from inside')
      expect(await fetch(far, 'http://203.0.113.1:8080/x')).toBe('from inside')

      const within = async (...words: readonly string[]) => {
        const { stdout } = await execa('pgrep', ['-P', String(web.pid)])
        const leader = stdout.split('\n')[0] as string
        return [`--net=/proc/${leader}/ns/net`, ...words]
      }
      const nsenter = async (...words: readonly string[]) => {
        await execa('nsenter', await within('ip', ...words))
      }
      const askedBy = async (family: 'udp4' | 'udp6', host: string) => {
        const words = await within(process.execPath, '-e', udpEcho(family))
        const echo = execa('nsenter', words, { reject: false })
        const { stdout } = await far.run([process.execPath, '-e', udpAsk(family, host)])
        echo.kill()
        await echo
        return stdout
      }
      expect(await askedBy('udp4', '203.0.113.1')).toBe('inside heard: over there')
      // It is followed to another address, and to one of IPv6.
      const moved = own.replace(/\d+$/, (last) => String(Number(last) === 14 ? 13 : 14))
      if (moved !== own) {
        await nsenter('address', 'delete', `${own}/28`, 'dev', 'host0')
        await nsenter('address', 'replace', `${moved}/28`, 'dev', 'host0')
        await nsenter(
          'route',
          'replace',
          'default',
          'via',
          own.replace(/\d+$/, (last) => String((Number(last) & ~15) + 1)),
        )
        await expect
          .poll(() => fetch(far, 'http://203.0.113.1:8080/x'), { timeout: 10_000, interval: 300 })
          .toBe('from inside')
      }
      await net.ip('-6', 'address', 'add', 'fd00:1::1/64', 'dev', 've-web', 'nodad')
      await nsenter('-6', 'address', 'add', 'fd00:1::2/64', 'dev', 'host0', 'nodad')
      await nsenter('-6', 'route', 'add', 'default', 'via', 'fd00:1::1')
      await net.run(['sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'])
      await expect
        .poll(() => fetch(far, 'http://[2001:db8::1]:8080/x'), { timeout: 10_000, interval: 300 })
        .toBe('from inside')
      expect(await askedBy('udp6', '2001:db8::1')).toBe('inside heard: over there')

      const taken = await net.run(ours(['-n', '-M', 'second', '-p8080:1'], 'true'))
      expect(taken.stderr).toContain(
        'tcp port 8080 of the host is in use: another container has it',
      )
      const twin = await net.run(ours(['-n', '-M', 'web'], 'true'))
      expect(twin.stderr).toMatch(/ve-web already|web/)
      await web.end()
      expect(await net.links()).toEqual(['lo', 'up0'])
      expect(await net.tables()).toEqual([])
    })

    test('connects the members of a zone', async () => {
      await using net = await NetworkNamespace.make()
      const options = (name: string) => ['--network-zone=z', '-M', name, '--network-setup=auto']
      const serve = 'mkdir /tmp/w; echo from one >/tmp/w/x; httpd -p 80 -h /tmp/w'
      // Their names lead to the same address.
      const same = await start(net, options('m8'), 'ip addr show host0')
      const other = await start(net, options('m14'), 'ip addr show host0')
      expect(address(same.text)).not.toBe(address(other.text))
      for (const each of [same, other]) await each.end()
      const one = await start(net, options('one'), `${serve}; ip addr show host0`)
      const two = await net.run(
        ours(options('two'), `ip addr show host0; wget -q -O- http://${address(one.text)}/x`),
      )
      expect(two.stdout).toContain('from one')
      expect(address(two.stdout)).not.toBe(address(one.text))
      expect(await net.links()).toEqual(['lo', 'vb-one', 'vz-z'])
      await one.end()
      expect(await net.links()).toEqual(['lo'])
      expect(await net.tables()).toEqual([])
    })

    test('leaves nothing that the next start does not take away, whatever kills it', async () => {
      await using net = await NetworkNamespace.make()
      const options = ['--network-zone=z', '-M', 'one', '--network-setup=auto', '-p', '80']
      const killed = await start(net, options, 'true')
      await killed.end('SIGKILL')
      await expect.poll(() => net.links(), { timeout: 10_000 }).toEqual(['lo', 'vz-z'])
      expect(await net.tables()).toHaveLength(2)
      // Whatever the next one wants for itself.
      expect((await net.run(ours(['-M', 'next'], 'true'))).exitCode).toBe(0)
      expect(await net.links()).toEqual(['lo'])
      expect(await net.tables()).toEqual([])
    })
  })

  test.each([
    ['--network-interface=nope0', 'there is no interface nope0'],
    ['--network-macvlan=nope0', 'there is no interface nope0'],
    ['--network-ipvlan=nope0', 'there is no interface nope0'],
    ['--network-bridge=nope0', 'there is no interface nope0'],
    ['--network-veth-extra=there', 'there is an interface there already'],
    ['--network-namespace-path=/etc/passwd', 'is no network namespace'],
    ['--network-namespace-path=/no/such', '/no/such'],
  ])('%s is refused, and nothing is left', async (option, words) => {
    await using net = await NetworkNamespace.make()
    await net.ip('link', 'add', 'there', 'type', 'veth', 'peer', 'name', 'that')
    const { exitCode, stderr } = await net.run(ours([option], 'true'))
    expect(stderr).toContain(words)
    expect(exitCode).toBe(1)
    expect(await net.links()).toEqual(['lo', 'that', 'there'])
  })

  test('leaves ports to those of the host that listen there', async () => {
    await using net = await NetworkNamespace.make()
    const listen = `require('node:net').createServer().listen(8081, '0.0.0.0', () => console.log('up'))`
    const [program, ...args] = net.within([process.execPath, '-e', listen])
    const server = execa(program, args, { reject: false, buffer: false })
    await once(server.stdout, 'data')
    const { stderr } = await net.run(ours(['-n', '-p', '8081:80'], 'true'))
    expect(stderr).toContain(
      'tcp port 8081 of the host is in use: somebody on the host listens there',
    )
    expect((await net.run(ours(['-n', '-p', 'udp:8081:80'], 'true'))).exitCode).toBe(0)
    server.kill()
    await server
  })

  test('writes nowhere but into the container', async () => {
    await using net = await NetworkNamespace.make()
    const trap = join(work.path, 'trap')
    const victim = join(work.path, 'victim')
    await mkdir(trap)
    await writeFile(victim, 'as it was')
    await symlink(victim, join(trap, '10-tsnspawn.network'))
    const bind = `--bind=${trap}:/run/systemd/network`
    const { exitCode } = await net.run(ours(['-n', '--network-setup=auto', bind], 'true'))
    expect(exitCode).toBe(0)
    expect(await readFile(victim, 'utf8')).toBe('as it was')
  })

  test('finds what was moved in under whatever name it has', async () => {
    await using net = await NetworkNamespace.make()
    await net.ip('link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two')
    const renamed = await net.run(ours(['--network-interface=one'], 'ip link set one name other'))
    expect(renamed).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await net.links()).toEqual(['lo', 'one', 'two'])
    const taken = await start(net, ['--network-interface=one'], 'true')
    await net.ip('link', 'add', 'one', 'type', 'bridge')
    await taken.end()
    expect(await net.links()).toEqual(['lo', 'one', 'one-1', 'two'])
  })

  test('is undone when a link cannot be made', async () => {
    await using net = await NetworkNamespace.make()
    // Both want the same name inside.
    const options = ['-n', '-M', 'one', '--network-veth-extra=a:host0']
    const { exitCode, stderr } = await net.run(ours(options, 'true'))
    expect(stderr).toContain('cannot make virtual cable a')
    expect(exitCode).toBe(1)
    expect(await net.links()).toEqual(['lo'])
  })
})
