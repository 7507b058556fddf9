import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  lockRoot,
  parsePassword,
  readPassword,
  setPassword,
} from '../../../../src/bootstrap/customize/password.ts'
import { TreeFiles } from '../../../../src/bootstrap/tree-files.ts'
import { treeInMaking } from '../../../fixtures/tree-in-making.ts'

let root: string
let files: TreeFiles

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tree-'))
  files = new TreeFiles(root)
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const known = (user: string, text: string) => readPassword(user, parsePassword('-', text, root))

test('a user’s password is locked, empty or the hash that was given', async () => {
  files.write('/etc/shadow', 'xroot:*:1::::::\nroot:x:1:0:99999:7:::\n', 0o640)
  const fieldAfter = async (text: string) => {
    await setPassword(treeInMaking(root), files, 'root', known('root', text))
    return /^root:([^:]*):/m.exec(files.read('/etc/shadow') ?? '')?.[1]
  }
  expect(await fieldAfter('empty')).toBe('')
  expect(await fieldAfter('$6$salt$ab./$&')).toBe('$6$salt$ab./$&')
  lockRoot(files)
  expect(files.read('/etc/shadow')).toMatch(/^xroot:\*:1::::::\nroot:\*:\d+:0:99999:7:::\n$/)
  expect(files.stat('/etc/shadow')?.mode).toBe(0o100640)
  await expect(
    setPassword(treeInMaking(root), files, 'ann', known('ann', 'empty')),
  ).rejects.toThrow('cannot set the password of ann: it is not in /etc/shadow')
})

test('a password in clear is refused', () => {
  expect(() => parsePassword('--root-password=', 'secret', '/')).toThrow('no password in clear')
})

test('a file may hold a hash or the password itself', () => {
  const read = (text: string) => {
    writeFileSync(join(root, 'secret'), text)
    return known('root', '@secret')
  }
  expect(read('$y$j9T$a$b\n')).toEqual({ kind: 'field', field: '$y$j9T$a$b' })
  expect(read('open sesame\r\nmore')).toEqual({ kind: 'plain', text: 'open sesame' })
  expect(() => read('\n')).toThrow('there is no password in')
  expect(() => known('root', '@gone')).toThrow('there is no file')
})

test('credentials are called as systemd-sysusers(8) calls them, hashed ones first', () => {
  expect(() => known('ann', 'credential')).toThrow('there are no credentials')
  const directory = join(root, 'credentials')
  mkdirSync(directory)
  vi.stubEnv('CREDENTIALS_DIRECTORY', directory)
  expect(() => known('ann', 'credential')).toThrow('passwd.plaintext-password.ann')
  writeFileSync(join(directory, 'passwd.plaintext-password.ann'), 'clear')
  expect(known('ann', 'credential')).toEqual({ kind: 'plain', text: 'clear' })
  writeFileSync(join(directory, 'passwd.hashed-password.ann'), '$6$a$b\n')
  expect(known('ann', 'credential')).toEqual({ kind: 'field', field: '$6$a$b' })
  writeFileSync(join(directory, 'passwd.hashed-password.ann'), 'clear')
  expect(() => known('ann', 'credential')).toThrow('is no hash of a password')
})
