/** Options that several families have, with one meaning: each family that has one lists it. */
import { Option } from 'commander'

export const nocheckOption = new Option('--nocheck', "do not run the package's own tests")

export const installCheckOption = new Option(
  '--install-check',
  'install the packages where nothing else of the build is',
)
