#!/usr/bin/env bash
# Installs the command with its man pages, completions and entries for the desktop, or takes them away again.
# Usage: install.sh install COMMAND | install.sh uninstall
# PREFIX (/usr/local) is where they will be, DESTDIR a folder in front of it, for those who make packages.
set -euo pipefail

usage() {
  echo "usage: install.sh install COMMAND | install.sh uninstall" >&2
  exit 2
}

action=${1:-}
command=${2:-}
case $action/$# in
  install/2 | uninstall/1) ;;
  *) usage ;;
esac

prefix=${PREFIX:-/usr/local}
# Other shells than bash hand ~ on as it is.
# shellcheck disable=SC2088
case $prefix in
  '~' | '~/'*) prefix=$HOME${prefix#'~'} ;;
esac
if [[ $prefix != /* ]]; then
  echo "install: PREFIX is $prefix; name a whole path, such as PREFIX=$PWD/$prefix" >&2
  exit 2
fi
root=${DESTDIR:-}${prefix%/}
share=$root/share
packaging=$(cd "$(dirname "$0")/../.." && pwd)/packaging

bash_script=$share/bash-completion/completions/latentbit
zsh_script=$share/zsh/site-functions/_latentbit
fish_script=$share/fish/vendor_completions.d/latentbit.fish

# The entries for the desktop: a file of packaging/, and the folder that the desktop reads.
entries() {
  local pattern folder file
  while read -r pattern folder; do
    for file in "$packaging"/$pattern; do
      if [[ -f $file ]]; then printf '%s\t%s\n' "$file" "$share/$folder"; fi
    done
  done <<'LIST'
*.xml mime/packages
*.thumbnailer thumbnailers
*.desktop applications
LIST
}

# What the desktop knows is in a database, which belongs to whoever installs the package if there is DESTDIR.
tell_desktop() {
  if [[ -z ${DESTDIR:-} && -d $share/mime/packages ]] && command -v update-mime-database >/dev/null; then
    update-mime-database "$share/mime"
  fi
  if [[ -z ${DESTDIR:-} && -d $share/applications ]] && command -v update-desktop-database >/dev/null; then
    update-desktop-database "$share/applications"
  fi
}

install_all() {
  if [[ ! -x $command ]]; then
    echo "install: $command is not there; build it first: make build" >&2
    exit 1
  fi
  # The command writes its own manual; it need not run where it will be.
  local made
  made=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$made'" EXIT
  "$command" manual man "$made/man1"
  for shell in bash zsh fish; do
    "$command" manual completions "$shell" >"$made/$shell"
  done

  install -d "$root/bin" "$share/man/man1"
  install -m 755 "$command" "$root/bin/latentbit"
  rm -f "$share/man/man1/latentbit.1" "$share/man/man1"/latentbit-*.1
  install -m 644 "$made/man1"/*.1 "$share/man/man1"
  install -D -m 644 "$made/bash" "$bash_script"
  install -D -m 644 "$made/zsh" "$zsh_script"
  install -D -m 644 "$made/fish" "$fish_script"
  local file folder
  while IFS=$'\t' read -r file folder; do
    install -D -m 644 -t "$folder" "$file"
  done < <(entries)
  tell_desktop

  echo "installed: $root/bin/latentbit, its man pages and completions"
  if [[ -z ${DESTDIR:-} && :$PATH: != *:$root/bin:* ]]; then
    echo "$root/bin is not on PATH; add it:  export PATH=\"$root/bin:\$PATH\""
  fi
}

uninstall_all() {
  rm -f "$root/bin/latentbit" "$share/man/man1/latentbit.1" "$share/man/man1"/latentbit-*.1
  rm -f "$bash_script" "$zsh_script" "$fish_script"
  local file folder
  while IFS=$'\t' read -r file folder; do
    rm -f "$folder/$(basename "$file")"
  done < <(entries)
  tell_desktop
}

"${action}_all"
