import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dropUnusedLinks, mergeUsr } from '../../../../src/bootstrap/debian/base-tree.ts'
import { TreeFiles } from '../../../../src/bootstrap/tree-files.ts'

let scratch: string
let files: TreeFiles

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'base-tree-'))
  mkdirSync(join(scratch, 'tree'))
  files = new TreeFiles(join(scratch, 'tree'))
})

afterEach(() => rmSync(scratch, { recursive: true }))

test('of the links into /usr those stay that somebody uses, and the usual ones', () => {
  mergeUsr(files.root, 'amd64')
  files.write('/lib64/loader', '')
  dropUnusedLinks(files, 'amd64')
  expect(readdirSync(files.root).toSorted()).toEqual(['bin', 'lib', 'lib64', 'sbin', 'usr'])
  expect(readdirSync(join(files.root, 'usr')).toSorted()).toEqual(['bin', 'lib', 'lib64', 'sbin'])
  expect(existsSync(join(files.root, 'usr/lib64/loader'))).toBe(true)
})

test('a package that turns /usr into a link out of the tree harms nothing there', () => {
  mergeUsr(files.root, 'amd64')
  mkdirSync(join(scratch, 'outside/lib32'), { recursive: true })
  rmSync(join(files.root, 'usr'), { recursive: true })
  symlinkSync(join(scratch, 'outside'), join(files.root, 'usr'))
  dropUnusedLinks(files, 'amd64')
  expect(readdirSync(join(scratch, 'outside'))).toEqual(['lib32'])
})

test('what is no link stays', () => {
  mergeUsr(files.root, 'i386')
  rmSync(join(files.root, 'lib64'))
  mkdirSync(join(files.root, 'lib64'))
  writeFileSync(join(files.root, 'lib64/file'), '')
  dropUnusedLinks(files, 'i386')
  expect(readdirSync(join(files.root, 'lib64'))).toEqual(['file'])
})
