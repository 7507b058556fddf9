#!/bin/sh
# The one list of Debian packages that this project uses, by purpose:
#
#   scripts/install-packages.sh start    what the first run wraps
#   scripts/install-packages.sh test     the real tools that the tests compare with and drive
#   scripts/install-packages.sh bench    the peers of the benchmarks
#   scripts/install-packages.sh builders the peers of the benchmark of builds
#
# Installs what is missing and says nothing otherwise. Off Debian, or without root, it names what is
# missing and succeeds: the tests then skip, with the reason, what they cannot run.
set -eu

start='debootstrap mmdebstrap dpkg-dev debian-archive-keyring ca-certificates gpgv xz-utils zstd util-linux mount passwd'
test="$start systemd-container strace iproute2 procps btrfs-progs xfsprogs e2fsprogs libcap2-bin acl attr gpg tmux fakeroot zsh fish docker-registry skopeo umoci openssl qemu-utils libarchive-tools pacman-package-manager arch-install-scripts makepkg archlinux-keyring busybox-static rpm createrepo-c dnf zypper gpg-agent python3 bzip2 lbzip2 pigz fdisk gdisk squashfs-tools erofs-utils cryptsetup-bin nftables qemu-user-static qemu-system-x86 runc crun golang-github-opencontainers-specs-dev"
bench="$test bubblewrap"
builders="$test sbuild debspawn cowbuilder uidmap"

case "${1-}" in
  start) wanted=$start ;;
  test) wanted=$test ;;
  bench) wanted=$bench ;;
  builders) wanted=$builders ;;
  *)
    echo "usage: $0 start|test|bench|builders" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  echo "not a Debian host: wanted are the equivalents of $wanted" >&2
  exit 0
fi

missing=
for package in $wanted; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "missing packages, install them as root:$missing" >&2
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
install() {
  # shellcheck disable=SC2086 # the list is meant to be split
  apt-get install --yes --quiet=2 --no-install-recommends -o DPkg::Lock::Timeout=300 $missing </dev/null
}

echo "installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An index may be missing (fresh machine) or older than the archive; only then is it fetched again.
if ! install >"$log" 2>&1; then
  if ! { apt-get update --quiet=2 && install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "cannot install$missing; the lines above are from apt-get" >&2
    exit 1
  fi
fi
