/** Options that several families have, with one meaning: each family that has one lists it. */
import { Option } from 'commander'
import { collect } from '../option-values.ts'

export const nocheckOption = new Option('--nocheck', "do not run the package's own tests")

export const sourceTooOption = new Option('--source-too', 'the source package as well')

export const keyringOption = new Option(
  '--keyring <file>',
  'keys that must have signed the source; may be repeated',
).argParser(collect)

export const installCheckOption = new Option(
  '--install-check',
  'install the packages where nothing else of the build is',
)
