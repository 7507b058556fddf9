/** Options that say where the root tree comes from and what may be written to it. */
import type { Option } from '../option.ts'
import type { VolatileMode } from '../settings.ts'
import { parseChoice } from '../values/choice.ts'
import { parseImagePolicy } from '../values/image-policy.ts'
import { absolutePath } from '../values/path.ts'
import { parsePivotRoot } from '../values/pivot-root.ts'
import { parseRootHash, parseRootHashSignature } from '../values/root-hash.ts'

const volatileModes: readonly VolatileMode[] = ['no', 'yes', 'state', 'overlay']

export const imageOptions: readonly Option[] = [
  {
    name: 'directory',
    short: 'D',
    value: 'required',
    placeholder: 'PATH',
    section: 'Image',
    group: 'directory',
    help: 'Root directory of the container',
    fallback: 'the image named by `--machine=`, else the current directory',
    details: 'A relative path is taken against the current directory. An empty value unsets it.',
    read: (draft, text, { cwd }) => {
      draft.directory = text === '' ? undefined : absolutePath(text, cwd)
    },
  },
  {
    name: 'template',
    value: 'required',
    placeholder: 'PATH',
    section: 'Image',
    group: 'directory',
    help: 'Tree that the root directory is copied from if it does not exist yet',
    fallback: 'none',
    details:
      'Needs `--directory=` or `--machine=`. With `--ephemeral` and no `--directory=` the template itself is run on a throw-away copy.',
    read: (draft, text, { cwd }) => {
      draft.settings.template = text === '' ? undefined : absolutePath(text, cwd)
    },
  },
  {
    name: 'ephemeral',
    short: 'x',
    value: 'none',
    section: 'Image',
    group: 'ephemeral',
    keys: [['Exec', 'Ephemeral']],
    help: 'Run on a throw-away copy of the root directory',
    differs:
      'Where the file system has no snapshots, an overlay on top of the tree takes the place of a full copy.',
    read: (draft) => {
      draft.settings.ephemeral = true
    },
  },
  {
    name: 'image',
    short: 'i',
    value: 'required',
    placeholder: 'PATH',
    section: 'Image',
    group: 'directory',
    help: 'Disk image or block device to run',
    fallback: 'none',
    details:
      'A partition table (GPT or MBR) whose types say what is what, or one file system; docs/disk-images.md tells what is mounted where. An empty value unsets it. Not with `--directory=` or `--template=`.',
    differs:
      'Needs no udev, and works in every network namespace. File systems are not grown to the size of their partitions.',
    read: (draft, text, { cwd }) => {
      draft.image = text === '' ? undefined : absolutePath(text, cwd)
    },
  },
  {
    name: 'image-policy',
    value: 'required',
    placeholder: 'POLICY',
    section: 'Image',
    help: 'Which partitions of the disk image may be used',
    fallback:
      '`root=verity+signed+encrypted+unprotected+absent`, the same for `usr`, `encrypted+unprotected+absent` for `home`, `srv`, `tmp` and `var`, `unprotected+absent` for `esp` and `xbootldr`; all others are ignored',
    details:
      '`PARTITION=FLAG+FLAG…`, more behind colons; no name before `=` for all others; `*`, `-` or `~` alone allow, ignore or forbid everything. Flags: `unprotected`, `verity`, `signed`, `encrypted`, `unused`, `absent`, `open`, `ignore`, `read-only-on`, `read-only-off`, `growfs-on`, `growfs-off`.',
    read: ({ settings }, text) => {
      settings.image = { ...settings.image, policy: parseImagePolicy(text) }
    },
  },
  {
    name: 'oci-bundle',
    value: 'required',
    placeholder: 'PATH',
    section: 'Image',
    help: 'OCI runtime bundle to run',
    fallback: 'none',
    details:
      'The directory of a bundle: its `config.json` says what a `.nspawn` file could, and more; none of those is read then. What stands on the command line counts more, group by group. [OCI bundles](oci.md) has every field.',
    differs:
      'Every version 1 of the specification is taken, not 1.0.0 alone; hooks are run, kernel parameters set and `noNewPrivileges` heard; what is not supported is refused, never passed over.',
    read: (draft, text, { cwd }) => {
      draft.program.bundle = text === '' ? undefined : absolutePath(text, cwd)
    },
  },
  {
    name: 'mstack',
    value: 'required',
    placeholder: 'PATH',
    section: 'Image',
    help: 'Directory that describes a stack of layers to run',
    instead: 'use --overlay= with / as destination',
  },
  {
    name: 'read-only',
    value: 'none',
    section: 'Image',
    group: 'read-only',
    keys: [['Files', 'ReadOnly']],
    help: 'Mount the root directory read-only',
    details: 'Implied by a custom mount on `/`. Other custom mounts are not affected.',
    read: (draft) => {
      draft.settings.access = 'read-only'
    },
  },
  {
    name: 'volatile',
    value: 'optional',
    placeholder: 'MODE',
    section: 'Image',
    group: 'volatile',
    keys: [['Files', 'Volatile']],
    help: 'Forget changes: of everything but /usr (yes), of /var (state), of the tree (overlay)',
    fallback: '`no`; without a value `yes`',
    list: () => volatileModes,
    read: (draft, text) => {
      draft.settings.volatile =
        text === undefined ? 'yes' : parseChoice(text, volatileModes, { yes: 'yes', no: 'no' })
    },
  },
  {
    name: 'root-hash',
    value: 'required',
    placeholder: 'HASH',
    section: 'Image',
    help: 'Verity root hash of the disk image',
    fallback:
      'the attribute `user.verity.roothash` of the image, else the file beside it that ends in `.roothash` instead of `.raw`, else what a signature in the image says',
    read: ({ settings }, text) => {
      settings.image = { ...settings.image, rootHash: parseRootHash(text) }
    },
  },
  {
    name: 'root-hash-sig',
    value: 'required',
    placeholder: 'SIGNATURE',
    section: 'Image',
    help: 'Signature of the verity root hash',
    fallback: 'the file beside the image that ends in `.roothash.p7s`, else the signature in it',
    details:
      'A file with a detached signature (PKCS#7, DER), or `base64:` and the signature itself. It has to be of somebody with a certificate in `/etc/verity.d` (or the same directory below `/run`, `/usr/local/lib`, `/usr/lib`), or whom the kernel trusts.',
    read: ({ settings }, text, { cwd }) => {
      const rootHashSignature = parseRootHashSignature(text, cwd)
      settings.image = { ...settings.image, rootHashSignature }
    },
  },
  {
    name: 'verity-data',
    value: 'required',
    placeholder: 'PATH',
    section: 'Image',
    help: 'Verity data of the disk image',
    fallback: 'the file beside the image that ends in `.verity`, else a partition of it',
    details: 'For an image that is one file system, without a partition table.',
    read: ({ settings }, text, { cwd }) => {
      settings.image = { ...settings.image, verityData: absolutePath(text, cwd) }
    },
  },
  {
    name: 'pivot-root',
    value: 'required',
    placeholder: 'NEW[:OLD]',
    section: 'Image',
    group: 'pivot-root',
    keys: [['Exec', 'PivotRoot']],
    help: 'Use a directory of the tree as root directory',
    fallback: 'the top of the tree',
    details:
      'Both paths are absolute and lie in the tree. The rest of the tree is mounted at `OLD`, a directory below `NEW` that must exist, or is out of sight without it. With `--volatile=yes` or `overlay` it is out of sight in any case.',
    differs:
      'The directory is looked for before anything is started, and without `OLD` nothing stays mounted beneath it.',
    read: (draft, text) => {
      draft.settings.pivotRoot = parsePivotRoot(text)
    },
  },
]
