import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  checkInputs,
  readCustomization,
} from '../../../../src/bootstrap/customize/customization.ts'
import type { CustomizationWords } from '../../../../src/recipe.ts'

const templates = new URL('../../../../templates', import.meta.url).pathname

const read = (words: CustomizationWords, purpose: 'boot' | 'command' = 'command') =>
  readCustomization([{ words, directory: '/here' }], purpose)

test('nothing is asked for by itself, but what boots gets its network', () => {
  expect(read({})).toMatchObject({
    hostname: undefined,
    rootPassword: { kind: 'locked' },
    users: [],
    network: 'none',
    hookNetwork: 'none',
  })
  expect(read({}, 'boot').network).toBe('if-possible')
  expect(read({ network: 'none' }, 'boot').network).toBe('none')
})

test('options add to the lists of a recipe and go before its single values', () => {
  const both = readCustomization(
    [
      { words: { hostname: 'a', timezone: 'UTC', hooks: ['./x'] }, directory: '/recipe' },
      { words: { hostname: 'b', hooks: ['y/z', 'minimize'] }, directory: '/here' },
    ],
    'command',
  )
  expect(both).toMatchObject({ hostname: 'b', timezone: 'UTC' })
  expect(both.hooks).toEqual([
    { kind: 'file', path: '/recipe/x' },
    { kind: 'file', path: '/here/y/z' },
    { kind: 'shipped', name: 'minimize' },
  ])
})

test('users, keys and copies are read in all their forms', () => {
  const hash = '$6$salt$ab./'
  expect(read({ users: ['a', 'b:empty', `c:${hash}:x,y`, 'd::z', 'e:@pw'] }).users).toEqual([
    { name: 'a', password: { kind: 'locked' }, groups: [] },
    { name: 'b', password: { kind: 'empty' }, groups: [] },
    { name: 'c', password: { kind: 'hashed', hash }, groups: ['x', 'y'] },
    { name: 'd', password: { kind: 'locked' }, groups: ['z'] },
    { name: 'e', password: { kind: 'file', path: '/here/pw' }, groups: [] },
  ])
  expect(read({ sshKeys: ['k.pub', 'ann:/k'] }).sshKeys).toEqual([
    { user: 'root', file: '/here/k.pub' },
    { user: 'ann', file: '/k' },
  ])
  expect(read({ copyIn: ['a:b:/x/', '/t:/'] }).copies).toEqual([
    { source: '/here/a:b', destination: '/x/' },
    { source: '/t', destination: '/' },
  ])
})

test.each([
  [{ hostname: 'a_b' }, '--hostname'],
  [{ hostname: 'a'.repeat(65) }, '--hostname'],
  [{ locale: '../x' }, '--locale'],
  [{ timezone: '../../etc/passwd' }, '--timezone'],
  [{ timezone: '/etc/passwd' }, '--timezone'],
  [{ keymap: 'a b' }, '--keymap'],
  [{ rootPassword: 'secret' }, 'no password in clear'],
  [{ users: ['root'] }, 'cannot be the name of a new user'],
  [{ users: ['-x'] }, 'cannot be the name of a new user'],
  [{ users: ['a:empty:b:c'] }, 'cannot be the name of a new user'],
  [{ users: ['a:secret'] }, 'no password in clear'],
  [{ autologin: 'a b' }, '--autologin'],
  [{ copyIn: ['a'] }, 'SOURCE:DESTINATION'],
  [{ copyIn: ['a:b'] }, 'SOURCE:DESTINATION'],
] as const)('%o is refused', (words, message) => {
  expect(() => read(words)).toThrow(message)
})

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'inputs-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('what is missing or cannot be run is known before a tree is made', () => {
  const check = (words: CustomizationWords) => {
    checkInputs(readCustomization([{ words, directory }], 'command'), templates)
  }
  expect(() => check({ sshKeys: ['k'] })).toThrow(`there is no ${directory}/k`)
  expect(() => check({ copyIn: ['c:/'] })).toThrow(`there is no ${directory}/c`)
  expect(() => check({ hooks: ['./h'] })).toThrow(`there is no hook at ${directory}/h`)
  expect(() => check({ hooks: ['minimise'] })).toThrow('there is no hook called "minimise"')
  writeFileSync(join(directory, 'h'), '#!/bin/sh\n')
  expect(() => check({ hooks: ['./h'] })).toThrow('is not executable')
  chmodSync(join(directory, 'h'), 0o755)
  check({ hooks: ['./h', 'minimize', 'ssh-server'] })
})
