/** The few options that systemd-nspawn does not have. */
import { usageError } from '../../errors.ts'
import type { Option } from '../option.ts'
import { parseChoice } from '../values/choice.ts'
import { absolutePath } from '../values/path.ts'

const networkSetups = ['no', 'auto'] as const

export const additionalOptions: readonly Option[] = [
  {
    name: 'print-plan',
    value: 'none',
    section: 'Additions of tsnspawn',
    help: 'Print what would be done as JSON; start nothing, change nothing',
    details:
      'Needs no root where the tree can be read. Nothing is locked, claimed or made: names that a run draws at random have zeroes, a range of user IDs is one that is free now, a throw-away copy is named as if no file system refused it, and with `--template=` the tree is looked at in the template. An ordinary user is shown what root would get; the limits of process 1 come from tsnspawn itself, with a warning, where they are hidden.',
    read: (draft) => {
      draft.program.printPlan = true
    },
  },
  {
    name: 'machines-dir',
    value: 'required',
    placeholder: 'PATH',
    section: 'Additions of tsnspawn',
    help: 'Where images are searched for and made',
    fallback: '`$TSNSPAWN_MACHINES_DIR`, else `/var/lib/machines`',
    read: (draft, text, { cwd }) => {
      if (text === '') throw usageError('the machines directory may not be empty')
      draft.program.machinesDirectory = absolutePath(text, cwd)
    },
  },
  {
    name: 'network-setup',
    value: 'required',
    placeholder: 'MODE',
    section: 'Additions of tsnspawn',
    group: 'network',
    help: 'Give virtual cables addresses where networkd does not: auto, no',
    fallback: '`no`',
    details:
      'With `auto`, host and container get addresses on the cable of `--network-veth` or in the zone, the container a default route, the host forwards and masquerades, and names are resolved as on the host. See [networking](networking.md).',
    list: () => networkSetups,
    read: ({ settings }, text) => {
      const setup = parseChoice(text, networkSetups)
      settings.network = { ...settings.network, setup }
    },
  },
  {
    name: 'image-key-file',
    value: 'required',
    placeholder: 'PATH',
    section: 'Additions of tsnspawn',
    help: 'File with the key of encrypted partitions of the disk image',
    fallback: 'the credential `dissect.passphrase`, then whoever sits at the terminal is asked',
    details: 'The whole file is the key, a newline at its end included.',
    read: ({ settings }, text, { cwd }) => {
      settings.image = { ...settings.image, keyFile: absolutePath(text, cwd) }
    },
  },
  {
    name: 'debug',
    value: 'none',
    section: 'Additions of tsnspawn',
    help: 'Say what is done, step by step',
    fallback: 'on with `$SYSTEMD_LOG_LEVEL` `debug` or `7`',
    read: (draft) => {
      draft.program.debug = true
    },
  },
]
