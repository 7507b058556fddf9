/** Networking options. */
import type { Draft } from '../draft.ts'
import type { Option } from '../option.ts'
import type { NetworkSettings } from '../settings.ts'
import {
  addPort,
  parseExtraVeth,
  parseInterfaceName,
  parseLinks,
  parsePort,
  parseZone,
  type LinkNames,
} from '../values/network.ts'
import { absolutePath } from '../values/path.ts'

/** All links are in a network of the container's own. */
function link({ settings }: Draft, more: Partial<NetworkSettings>): void {
  settings.privateNetwork = true
  settings.network = { ...settings.network, ...more }
}

function addLinks(
  draft: Draft,
  kind: 'interfaces' | 'macvlans' | 'ipvlans' | 'extraVeths',
  links: readonly LinkNames[],
): void {
  link(draft, { [kind]: [...draft.settings.network[kind], ...links] })
}

export const networkOptions: readonly Option[] = [
  {
    name: 'private-network',
    value: 'none',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'Private']],
    help: 'Give the container a network of its own, with a loopback interface only',
    details: 'Keeps `CAP_NET_ADMIN` for the container; `--drop-capability=` can take it away.',
    read: (draft) => {
      draft.settings.privateNetwork = true
    },
  },
  {
    name: 'network-interface',
    value: 'required',
    placeholder: 'HOST[:CONTAINER]',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'Interface']],
    help: 'Move an interface of the host into the container',
    details:
      'An existing interface, by its name or an alternative one, and what it is called inside; more of them behind blanks. It comes back with its old name when the container has ended.',
    differs: 'Needs no udev.',
    read: (draft, text) => addLinks(draft, 'interfaces', parseLinks(text)),
  },
  {
    name: 'network-macvlan',
    value: 'required',
    placeholder: 'HOST[:CONTAINER]',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'MACVLAN']],
    help: 'Put a macvlan interface into the container',
    details:
      'Above an interface of the host, in bridge mode; called `mv-HOST` unless a name is given. More of them behind blanks.',
    read: (draft, text) => addLinks(draft, 'macvlans', parseLinks(text)),
  },
  {
    name: 'network-ipvlan',
    value: 'required',
    placeholder: 'HOST[:CONTAINER]',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'IPVLAN']],
    help: 'Put an ipvlan interface into the container',
    details:
      'Above an interface of the host, in L2 mode; called `iv-HOST` unless a name is given. More of them behind blanks.',
    read: (draft, text) => addLinks(draft, 'ipvlans', parseLinks(text)),
  },
  {
    name: 'network-veth',
    short: 'n',
    value: 'none',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'VirtualEthernet']],
    help: 'Connect host and container by a virtual cable',
    details:
      'The end outside is called `ve-MACHINE`, cut to 15 characters with a hash where it is longer, the end inside `host0`. On the host networkd gives it addresses; without networkd see `--network-setup=`.',
    read: (draft) => link(draft, { veth: true }),
  },
  {
    name: 'network-veth-extra',
    value: 'required',
    placeholder: 'HOST[:CONTAINER]',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'VirtualEthernetExtra']],
    help: 'Connect host and container by one more virtual cable',
    details: 'With names of your choice; without a second one it has the same on both sides.',
    read: (draft, text) => addLinks(draft, 'extraVeths', [parseExtraVeth(text)]),
  },
  {
    name: 'network-bridge',
    value: 'required',
    placeholder: 'INTERFACE',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'Bridge']],
    help: 'Connect the container to a bridge of the host',
    details: 'A virtual cable as with `--network-veth`, whose end outside is called `vb-MACHINE`.',
    read: (draft, text) => link(draft, { bridge: parseInterfaceName(text) }),
  },
  {
    name: 'network-zone',
    value: 'required',
    placeholder: 'NAME',
    section: 'Networking',
    group: 'network',
    keys: [['Network', 'Zone']],
    help: 'Connect the container to a bridge shared by the zone',
    details:
      'A virtual cable as with `--network-veth`, whose end outside is called `vb-MACHINE`, in the bridge `vz-NAME`. That is made with the first container of the zone and goes with the last.',
    read: (draft, text) => link(draft, { zone: parseZone(text) }),
  },
  {
    name: 'network-namespace-path',
    value: 'required',
    placeholder: 'PATH',
    section: 'Networking',
    group: 'network',
    help: 'Join an existing network namespace',
    details:
      'A file that stands for it, as /run/netns/NAME or /proc/PID/ns/net. Not with other links.',
    read: ({ settings }, text, { cwd }) => {
      const namespacePath = text === '' ? undefined : absolutePath(text, cwd)
      settings.network = { ...settings.network, namespacePath }
    },
  },
  {
    name: 'port',
    short: 'p',
    value: 'required',
    placeholder: '[PROTOCOL:]HOST[:CONTAINER]',
    section: 'Networking',
    group: 'ports',
    keys: [['Network', 'Port']],
    help: 'Forward a port of the host to the container',
    details:
      '`tcp:` or `udp:` and a port of the host, and one of the container if that is another. It is forwarded (nftables, a table of its own) to the first address that the container has, of IPv4 and IPv6, wherever that changes to; from the host itself by every address but the loopback ones. Needs a network of its own.',
    read: ({ settings }, text) => {
      settings.network = {
        ...settings.network,
        ports: addPort(settings.network.ports, parsePort(text)),
      }
    },
  },
]
